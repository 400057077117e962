"""A healthy site for each test that asks for one, made of real servers on a loopback address of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kube import Kube
from tests.services.gateway.engine import Engine
from tests.verify.loopback import Loopback, gateway, registry

# From the range for tests between networks (RFC 2544). A site refuses loopback addresses, port 443 must be
# free, so each run of tests brings an address of its own, on the loopback device: nobody else reaches it.
ADDRESS = f"198.18.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"


@contextlib.contextmanager
def _own_address() -> Iterator[None]:
    where = (f"{ADDRESS}/32", "dev", "lo")
    subprocess.run(["ip", "address", "replace", *where], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "address", "delete", *where], check=True)


@pytest.fixture(scope="session")
def healthy_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """The servers, started once: they hold ports."""
    folder = tmp_path_factory.mktemp("site")
    with _own_address(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(folder / "state"))
        patch.delenv("AIPLAT_VAULT_PASSWORD_FILE", raising=False)
        with Kube() as kube, Engine() as engine:
            site = Loopback(kube, ADDRESS)
            with registry(site.secrets, folder, ADDRESS), gateway(site.secrets, folder, ADDRESS, engine.url):
                yield site
            site.ssh.close()


@pytest.fixture
def healthy(healthy_servers: Loopback, monkeypatch: pytest.MonkeyPatch) -> Loopback:
    """The site as it is right after a bootstrap, whatever the test before did to it."""
    state: Path = healthy_servers.folder.parents[2]
    monkeypatch.setenv("AIPLAT_STATE", str(state))
    monkeypatch.delenv("AIPLAT_VAULT_PASSWORD_FILE", raising=False)
    healthy_servers.kube.refuse = 0
    healthy_servers.ssh.words = b"SSH-2.0-x\r\n"
    healthy_servers.bootstrap()
    return healthy_servers
