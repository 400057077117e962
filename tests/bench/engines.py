"""Two real Ollama engines out of the bundle's own images: only these show what a prompt cache is worth."""

from __future__ import annotations

import contextlib
import json
import os
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiplat.catalog.resolve import resolve
from aiplat.site.load import load_site
from tests.bench.peers import ROOT, process
from tests.ports import free_port

MODEL = "smollm2:135m"
_IMAGES = ("docker.io/ollama/ollama", "registry.ollama.ai/library/smollm2")
SLOTS = 2
# Mounts in a namespace of the engine's own: they are gone when it ends, however it ends.
_START = """\
mount --bind /proc "$0/proc" && mount --rbind /dev "$0/dev" && mount --bind "$0/cpuinfo" "$0/proc/cpuinfo" &&
exec chroot "$0" /usr/bin/ollama serve"""


def artifacts() -> dict[str, Path] | None:
    """Return the folders of the images as `aiplat bundle` has built them, or None where it has not."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aiplat" / "artifacts"
    lock = resolve(load_site(ROOT / "inventory" / "lab" / "site.yaml"))
    wanted = [a for a in lock.artifacts if a.name in _IMAGES]
    found = {a.name: cache / a.inputs.removeprefix("sha256:") for a in wanted}
    return found if all((folder / "index.json").is_file() for folder in found.values()) else None


def _manifest(layout: Path, digest: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_blob(layout, digest).read_text())
    return document if "layers" in document else _manifest(layout, document["manifests"][0]["digest"])


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def unpack(layout: Path, into: Path) -> None:
    """Write the files of an image into a folder."""
    index = json.loads((layout / "index.json").read_text())
    for layer in _manifest(layout, index["manifests"][0]["digest"])["layers"]:
        with tarfile.open(_blob(layout, layer["digest"])) as archive:
            archive.extractall(into, filter="tar")


@contextlib.contextmanager
def engines(folder: Path, images: dict[str, Path]) -> Iterator[list[str]]:
    """Run two engines, each on a core of its own; yields their URLs."""
    root = folder / "root"
    unpack(images[_IMAGES[0]], root)
    unpack(images[_IMAGES[1]], root / "models")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_engine(root, folder, core)) for core in (0, 1)]


@contextlib.contextmanager
def _engine(root: Path, folder: Path, core: int) -> Iterator[str]:
    port, home = free_port(), f"/tmp/engine-{core}"
    (root / home[1:]).mkdir(parents=True)
    settings = {
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": "/models",
        "OLLAMA_NOPRUNE": "1",
        "OLLAMA_NO_CLOUD": "1",
        "OLLAMA_NUM_PARALLEL": str(SLOTS),
        "OLLAMA_CONTEXT_LENGTH": "4096",
        "OLLAMA_KEEP_ALIVE": "-1",
        "HOME": home,
    }
    # One core, told to the engine as well: two threads that take turns on it would mostly wait.
    (root / "cpuinfo").write_text(Path("/proc/cpuinfo").read_text().partition("\n\n")[0] + "\n\n")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _START, str(root)]
    with process(core, command, folder / f"engine-{core}.log", **settings):
        url = f"http://127.0.0.1:{port}"
        _load(url)
        yield url


def _load(url: str) -> None:
    body = json.dumps({"model": MODEL, "prompt": "1, 2,", "options": {"num_predict": 1}, "stream": False})
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{url}/api/generate", body.encode(), {"content-type": "application/json"}
    )
    for attempt in range(40):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request, timeout=120).read()  # noqa: S310 - loopback
            return
        time.sleep(min(1.0, 0.05 * (attempt + 1)))
    raise SystemExit(f"the engine at {url} does not answer")
