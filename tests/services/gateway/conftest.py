"""A gateway as it runs in the cluster: a process with TLS from a CA, hashed keys, an engine behind."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from aiplat.content import write_atomic
from aiplat.vault.pki import issue, make_ca
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.services.gateway.engine import Engine

KEY = "sk-aiplat-for-tests"
MODEL = "gemma3:270m-base-q4_k_m"
MODELS = (MODEL, "endless", "breaks", "too-busy", "org/with-slash", "moved", "never-streams", "gives-up")


@dataclass(frozen=True)
class RunningGateway:
    """Where a gateway process answers."""

    url: str
    health: str
    ca: Path
    process: subprocess.Popen[bytes]
    folder: Path

    def client(self, key: str | None = KEY) -> httpx.Client:
        """Return an HTTP client that trusts the site CA and, by default, has the key."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        context = ssl.create_default_context(cafile=str(self.ca))
        return httpx.Client(base_url=self.url, headers=headers, verify=context, timeout=PATIENCE)

    def metric(self, line: str) -> float:
        """Return the value of one sample of /metrics, 0 where it is absent."""
        text = httpx.get(f"{self.health}/metrics", timeout=PATIENCE).text
        found = [row.rpartition(" ")[2] for row in text.splitlines() if row.startswith(line)]
        return float(found[0]) if found else 0.0


def write_site_files(folder: Path, models: dict[str, object]) -> None:
    """Write what a Secret and a ConfigMap would mount: certificate, key hash, static models."""
    ca = make_ca("t-gateway")
    leaf = issue(ca, "gateway", ["localhost", "127.0.0.1"])
    write_atomic(folder / "ca.crt", ca.crt.encode())
    write_atomic(folder / "tls" / "tls.crt", leaf.crt.encode())
    write_atomic(folder / "tls" / "tls.key", leaf.key.encode(), mode=0o600)
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    write_atomic(folder / "keys" / "site", f"sha256:{digest}\n".encode(), mode=0o600)
    write_atomic(folder / "models.json", json.dumps(models).encode())


@contextlib.contextmanager
def running(folder: Path, *extra: str) -> Iterator[RunningGateway]:
    """Run a gateway over the files in `folder` until the block ends; it must then leave with 0."""
    port, health = free_port(), free_port()
    command = [sys.executable, "-m", "aiplat.services.gateway", "--host=127.0.0.1"]
    command += [f"--port={port}", f"--health-port={health}", f"--keys={folder / 'keys'}"]
    command += [f"--tls-cert={folder / 'tls/tls.crt'}", f"--tls-key={folder / 'tls/tls.key'}"]
    command += extra or (f"--static={folder / 'models.json'}",)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    gateway = RunningGateway(
        f"https://127.0.0.1:{port}", f"http://127.0.0.1:{health}", folder / "ca.crt", process, folder
    )
    try:
        _wait_until_it_listens(gateway)
        yield gateway
    finally:
        process.terminate()
        code = process.wait(PATIENCE)
    assert code == 0, (folder / "log").read_text()


def _wait_until_it_listens(gateway: RunningGateway) -> None:
    transport = httpx.HTTPTransport(retries=12)
    with httpx.Client(transport=transport, timeout=PATIENCE) as client:
        client.get(f"{gateway.health}/healthz").raise_for_status()
    secure = httpx.HTTPTransport(retries=12, verify=ssl.create_default_context(cafile=str(gateway.ca)))
    with httpx.Client(transport=secure, timeout=PATIENCE) as client:
        client.get(gateway.url)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """One engine for all tests; what it saw is only added to."""
    with Engine() as engine:
        yield engine


@pytest.fixture(autouse=True)
def _fresh_engine(engine: Engine) -> None:
    engine.seen.clear()
    engine.headers.clear()
    engine.release.clear()


@pytest.fixture(scope="session")
def gateway(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with one good model, some that misbehave, one that is down and one of another engine."""
    folder = tmp_path_factory.mktemp("gateway")
    url = engine.url
    models: list[dict[str, object]] = [{"name": name, "url": url} for name in MODELS]
    models[0] |= {"aliases": ["gemma3:270m"], "created": 1700000000}
    models.append({"name": "down", "url": f"http://127.0.0.1:{free_port()}"})
    models.append({"name": "vllm-model", "url": url, "engine": "vllm", "served_as": "/models/real"})
    models[-1] |= {"paths": ["/v1/completions"]}
    write_site_files(folder, {"models": models})
    with running(folder) as gateway:
        yield gateway


@pytest.fixture
def http(gateway: RunningGateway) -> Iterator[httpx.Client]:
    """A client with the key."""
    with gateway.client() as client:
        yield client
