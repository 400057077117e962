"""A healthy site for each test, made of real servers on a loopback address of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.kube import Kube
from tests.services.gateway.engine import Engine
from tests.verify.loopback import Loopback, gateway, registry

# Port 443 of an address that nothing else on a machine uses.
ADDRESS = "127.94.3.1"


@pytest.fixture(scope="session")
def healthy_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """The servers, started once: they hold ports."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(folder / "state"))
        patch.delenv("AIPLAT_VAULT_PASSWORD_FILE", raising=False)
        kube, engine = Kube(), Engine()
        kube.start()
        url = engine.start()
        site = Loopback(kube, ADDRESS)
        with registry(site.secrets, folder, ADDRESS), gateway(site.secrets, folder, ADDRESS, url):
            yield site
        site.ssh.close()
        engine.stop()
        kube.stop()


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
