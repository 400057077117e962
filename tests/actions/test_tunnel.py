"""A tunnel that is held open: where its ends are, who finds them, and how it ends."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from aiplat.actions.env import environment, lacks_tunnel
from aiplat.actions.tunnel import open_tunnel, tunnel_of
from aiplat.errors import AiplatError, BadInput
from aiplat.fleet.ssh import HostError
from aiplat.fleet.tunnel import close_tunnels
from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.vault.store import ensure_secrets
from tests.cluster.kube import Kube, pod
from tests.fleet.test_tunnel import SSH

NODE = "127.0.0.3"
SITE = Site.model_validate(
    {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Site",
        "name": "t-tunnel",
        "hosts": [
            {
                "name": "s1",
                "address": "192.0.2.11",
                "nodeAddress": NODE,
                "role": "server",
                "ssh": {"jump": ["boss@192.0.2.1"]},
            }
        ],
    }
)


@pytest.fixture(autouse=True)
def ssh(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An ssh that forwards on this machine, and a site that was bootstrapped from here."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(f'#!/bin/sh\nexec {sys.executable} {SSH} "$@"\n')
    (tmp_path / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    ensure_secrets(SITE, lab=True)
    cluster = {"server": "https://192.0.2.11:6443"}
    (site_dir(SITE.name) / "kubeconfig").write_text(
        json.dumps({"clusters": [{"name": "c", "cluster": cluster}]})
    )
    yield
    close_tunnels()


@pytest.fixture
def api() -> Iterator[None]:
    """Something that listens where Kubernetes would."""
    with socket.create_server((NODE, 6443)):
        yield


def test_a_tunnel_gives_what_is_there_and_says_what_is_not(api: None) -> None:
    """The kubeconfig leads through it and still checks for the server's name; it is gone afterwards."""
    with open_tunnel(SITE) as held:
        tunnel = held.tunnel
        assert tunnel.kubernetes.startswith("https://127.0.0.1:")
        assert (tunnel.gateway, tunnel.registry) == ("", "")
        assert [
            f"its {NODE}:{port} is not" in note for port, note in zip((443, 5443), tunnel.notes, strict=True)
        ]
        cluster = json.loads(Path(tunnel.kubeconfig).read_text())["clusters"][0]["cluster"]
        assert cluster == {"server": tunnel.kubernetes, "tls-server-name": "192.0.2.11"}
        assert Path(tunnel.kubeconfig).stat().st_mode & 0o777 == 0o600
    assert not Path(tunnel.kubeconfig).exists()


def test_the_environment_is_the_tunnels_while_it_is_open(api: None) -> None:
    """Before and after, it is the site's own, and what is missing is known."""
    before = environment(SITE)
    assert lacks_tunnel(SITE)
    with open_tunnel(SITE) as held:
        assert tunnel_of(SITE) == held.tunnel
        assert not lacks_tunnel(SITE)
        during = environment(SITE)
    assert {name for name in before if before[name] != during[name]} == {"KUBECONFIG"}
    assert tunnel_of(SITE) is None
    assert environment(SITE) == before


def test_there_is_one_tunnel_a_site(api: None) -> None:
    """Who opens another is told to use that one."""
    with open_tunnel(SITE), pytest.raises(AiplatError, match="its tunnel is open already"), open_tunnel(SITE):
        pass


def test_a_server_without_any_of_the_ports_is_an_error() -> None:
    """With a sentence for each."""
    with pytest.raises(AiplatError) as raised, open_tunnel(SITE):
        pass
    assert len(raised.value.findings) == 3


def test_a_server_that_is_not_reached_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All ports have the same cause."""
    monkeypatch.setenv("SSH_FAILS", "ssh: connect to host 192.0.2.1 port 22: No route to host")
    with pytest.raises(AiplatError, match="No route to host") as raised, open_tunnel(SITE):
        pass
    assert len(raised.value.findings) == 1


def test_a_lost_connection_ends_the_wait(api: None) -> None:
    """With the reason that ssh gave."""
    with open_tunnel(SITE) as held:
        (connection,) = held.tunnels._connections.values()
        connection._process.terminate()
        with pytest.raises(HostError, match="s1: does not answer"):
            held.wait()


def test_a_site_that_was_never_bootstrapped_has_nothing_to_bring_here() -> None:
    """The sentence says what to run."""
    with (
        pytest.raises(BadInput, match="run `aiplat bootstrap`"),
        open_tunnel(SITE.model_copy(update={"name": "t-other"})),
    ):
        pass


PAGES_ON: dict[str, Any] = {"user-serving": {"portal": {"state": "on"}}}


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[tuple[Site, Kube]]:
    """A site with the portal in somebody's cluster, whose gateway runs."""
    cluster = {"existing": str(tmp_path / "kubeconfig"), "registry": "registry.example/aiplat"}
    site = Site.model_validate(
        {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "t-guest", "cluster": cluster}
        | {"planes": PAGES_ON}
    )
    ensure_secrets(site, lab=True)
    with Kube() as kube:
        kube.write_kubeconfig(site_dir(site.name) / "kubeconfig")
        kube.lists["pods"] = [pod("g", "aiplat-access", {"app.kubernetes.io/name": "gateway"}, "i")]
        yield site, kube


def test_the_portal_comes_along_where_no_ingress_names_it(guest: tuple[Site, Kube]) -> None:
    """Its page is answered by its pod, at localhost: browsers keep its cookies there."""
    site, kube = guest
    kube.lists["pods"].append(pod("p", "aiplat-user-serving", {"app.kubernetes.io/name": "portal"}, "i"))
    with open_tunnel(site) as held:
        address = urlsplit(held.tunnel.portal)
        assert (address.scheme, address.hostname) == ("http", "localhost")
        with socket.create_connection(("localhost", address.port or 0), timeout=10) as connection:
            connection.sendall(b"hello")
            assert connection.recv(100) == b"p 8080 hello"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("localhost", address.port or 0), timeout=10)


def test_a_portal_that_is_not_ready_leaves_the_rest_of_the_tunnel_open(guest: tuple[Site, Kube]) -> None:
    """And is told of."""
    with open_tunnel(guest[0]) as held:
        assert held.tunnel.gateway
        assert held.tunnel.portal == ""
        assert "no pod with app.kubernetes.io/name=portal is ready" in held.tunnel.notes[0]


def test_an_ingress_has_a_name_for_the_portal_already(api: None) -> None:
    """Then nothing of it is brought here, nor missed."""
    planes = PAGES_ON | {"access": {"ingress": {"state": "on"}}}
    with open_tunnel(Site.model_validate(SITE.model_dump(by_alias=True) | {"planes": planes})) as held:
        assert held.tunnel.kubernetes
        assert (held.tunnel.portal, [note for note in held.tunnel.notes if "portal" in note]) == ("", [])
