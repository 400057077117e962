"""A real Canaille as the chart configures it: on its image's wheels, in a folder as the pod's volume is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ruamel.yaml import YAML

from aiplat.content import sha256_bytes
from aiplat.shipped import shipped, shipped_root
from aiplat.state import cache_home, private_dir
from aiplat.supply.wheels import install_wheels
from tests.charts.test_charts import GOLDEN
from tests.patience import until
from tests.ports import free_port

LOCK = "locks/canaille.txt"


def environment() -> dict[str, str]:
    """Return the variables under which a program finds Canaille and our own code."""
    return os.environ | {"PYTHONPATH": f"{wheels()}:{shipped_root()}", "PYTHONDONTWRITEBYTECODE": ""}


def told_by(module: str, folder: Path) -> Any:
    """Run a walk through a Canaille in a process that finds its wheels; return the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, folder],
        env=environment(),
        cwd=shipped_root(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wheels() -> Path:
    """Return the folder of the image's wheels for this Python; they are unpacked once, in seconds."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = sha256_bytes(shipped(LOCK).read_bytes()).removeprefix("sha256:")[:16]
    folder = private_dir(cache_home() / "tests") / f"canaille-{python}-{digest}"
    if not folder.exists():
        half = folder.with_name(f"{folder.name}.{os.getpid()}")
        install_wheels(LOCK, python, half)
        half.rename(folder)
    return folder


def configured(folder: Path, clients: Sequence[Mapping[str, Any]] = ()) -> Path:
    """Fill a folder as the pod's volume is: the chart's configuration, for another domain, and secrets."""
    documents = YAML(typ="safe", pure=True).load_all(GOLDEN / "canaille.yaml")
    config = next(d for d in documents if d["kind"] == "ConfigMap")["data"]["canaille.toml"]
    domain = re.search(r'SERVER_NAME = "login\.(.*)"', config)
    assert domain
    key = rsa.generate_private_key(65537, 2048)
    content = {
        "canaille.toml": config.replace(domain[1], "ward.test"),
        "session/token": "a-token-that-sessions-are-signed-with",
        "signing/private.pem": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "database/url": f"sqlite:///{folder}/people.db",
        "clients/clients.json": json.dumps(list(clients)),
    }
    for name, text in content.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run the program of the pod; yield where it manages people."""
    pages, administration = free_port(), free_port()
    ports = [f"--port={pages}", f"--administration-port={administration}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "aiplat.services.signin", "serve", *ports],
        env=environment() | {"AIPLAT_SIGNIN_FOLDER": str(folder)},
        cwd=shipped_root(),
    )
    url = f"http://127.0.0.1:{administration}"
    try:
        until(lambda: answers(url) or process.poll() is not None)
        assert process.poll() is None, "the sign-in ended"
        yield url
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    """Whether anything answers there."""
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True
