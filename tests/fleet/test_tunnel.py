"""Ports of hosts behind a jump host: brought here when first needed, each fault with its sentence."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiplat.fleet.ssh import HostError
from aiplat.fleet.tunnel import Tunnels, close_tunnels, is_behind, way_to
from aiplat.site.models import Site
from tests.patience import PATIENCE

SSH = Path(__file__).with_name("ssh_that_forwards.py")
ADDRESS = "192.0.2.11"


@pytest.fixture
def ssh(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An ssh that forwards on this machine; what it holds ends with the test."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(f'#!/bin/sh\nexec {sys.executable} {SSH} "$@"\n')
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    yield
    close_tunnels()


@pytest.fixture
def service() -> Iterator[int]:
    """A server on a port of 127.0.0.2 that says hello to each who connects."""
    with socket.create_server(("127.0.0.2", 0)) as listener:
        threading.Thread(target=_greet, args=(listener,), daemon=True).start()
        yield int(listener.getsockname()[1])


def _greet(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.sendall(b"hello")


def _site(**ssh: Any) -> Site:
    host = {"name": "s1", "address": ADDRESS, "nodeAddress": "127.0.0.2", "role": "server", "ssh": ssh}
    head = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward-3"}
    return Site.model_validate({**head, "hosts": [host]})


BEHIND = _site(jump=["boss@192.0.2.1"])


def _heard(end: tuple[str, int]) -> bytes:
    with socket.create_connection(end, timeout=PATIENCE) as connection:
        return connection.recv(16)


def test_a_host_that_is_reached_directly_is_reached_as_it_is(ssh: None, service: int) -> None:
    """No connection is made for it."""
    assert way_to(_site()).to(ADDRESS, service) == (ADDRESS, service)


def test_a_port_behind_a_jump_host_is_brought_here(ssh: None, service: int) -> None:
    """It is the host's own node address that is reached, and the end here stays the same."""
    end = way_to(BEHIND).to(ADDRESS, service)
    assert end[0] == "127.0.0.1"
    assert _heard(end) == b"hello"
    assert way_to(BEHIND).to(ADDRESS, service) == end


def test_the_sites_endpoint_is_its_first_server(ssh: None, service: int) -> None:
    """A name that is not a host's leads to the platform all the same."""
    assert _heard(way_to(BEHIND).to("platform.example", service)) == b"hello"


@pytest.mark.parametrize(
    ("says", "behind"),
    [
        ("hostname 192.0.2.11\n", False),
        ("hostname 192.0.2.11\nproxyjump none\n", False),
        ("hostname 192.0.2.11\nproxyjump bastion\n", True),
        ("hostname 192.0.2.11\nproxycommand nc -X 5 %h %p\n", True),
        ("hostname 192.0.2.77\n", True),
    ],
)
def test_the_users_configuration_decides_where_the_site_says_nothing(
    ssh: None, monkeypatch: pytest.MonkeyPatch, says: str, behind: bool
) -> None:
    """ProxyJump and ProxyCommand of ~/.ssh/config, and addresses that are names in it alone."""
    monkeypatch.setenv("SSH_SAYS", says)
    site = _site()
    assert is_behind(site, site.hosts[0]) is behind


@pytest.mark.parametrize(("asked", "behind"), [("always", True), ("never", False)])
def test_the_site_may_say_it(ssh: None, asked: str, behind: bool) -> None:
    """`ssh.tunnel` holds against what is on the way."""
    site = _site(jump=[] if behind else ["boss@192.0.2.1"], tunnel=asked)
    assert is_behind(site, site.hosts[0]) is behind


def test_a_machine_without_ssh_goes_straight(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the control API's container, which is among the hosts already."""
    monkeypatch.setenv("PATH", "/nonexistent")
    site = _site()
    assert not is_behind(site, site.hosts[0])


def test_a_port_without_a_listener_is_told(ssh: None, service: int) -> None:
    """Not as a connection that somebody closed; the next port still works."""
    with socket.create_server(("127.0.0.2", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(HostError, match=rf"s1: is reached by ssh, but its 127.0.0.2:{port} is not \(nothing"):
        way_to(BEHIND).to(ADDRESS, port)
    assert _heard(way_to(BEHIND).to(ADDRESS, service)) == b"hello"


def test_a_host_that_forbids_forwarding_is_told(
    ssh: None, service: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the setting that allows it."""
    monkeypatch.setenv("SSH_FORBIDS", "yes")
    with pytest.raises(HostError, match=r"its sshd forbids forwarding\); set AllowTcpForwarding yes"):
        way_to(BEHIND).to(ADDRESS, service)


def test_a_host_that_lets_nobody_in_is_told_as_ever(
    ssh: None, service: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentences are those of every other way to reach a host, and the next try is a new one."""
    monkeypatch.setenv("SSH_FAILS", "boss@192.0.2.1: Permission denied (publickey).")
    with pytest.raises(HostError, match=r"s1: the jump host boss@192.0.2.1 does not let boss in"):
        way_to(BEHIND).to(ADDRESS, service)
    monkeypatch.delenv("SSH_FAILS")
    assert _heard(way_to(BEHIND).to(ADDRESS, service)) == b"hello"


def test_a_lost_connection_is_made_again(ssh: None, service: int) -> None:
    """What was open before it broke is not offered any more."""
    way = Tunnels(BEHIND)
    way.to(ADDRESS, service)
    (held,) = way._connections.values()
    held.close()
    assert not way.holds
    assert _heard(way.to(ADDRESS, service)) == b"hello"
    way.close()


def test_a_site_has_one_way_whatever_its_hosts_say() -> None:
    """MIG instances by profile are a map; another setting of a host is another way."""

    def shared(layout: dict[str, int]) -> Site:
        document = _site().model_dump(mode="json", by_alias=True)
        document["hosts"][0] |= {"hardware": {"gpus": ["H100"]}, "gpu": {"sharing": {"mig": layout}}}
        return Site.model_validate(document)

    assert way_to(shared({"1g.10gb": 4})) is way_to(shared({"1g.10gb": 4}))
    assert way_to(shared({"1g.10gb": 4})) is not way_to(shared({"1g.10gb": 2}))
    close_tunnels()


def test_ssh_is_reached_on_the_port_of_its_configuration(
    ssh: None, service: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directly or through the tunnel."""
    monkeypatch.setenv("SSH_SAYS", f"hostname {ADDRESS}\nport {service}\n")
    assert way_to(_site()).to_ssh(_site().hosts[0]) == (ADDRESS, service)
    assert _heard(way_to(BEHIND).to_ssh(BEHIND.hosts[0])) == b"hello"


HOLDING = """
import sys
from aiplat.fleet.tunnel import way_to
from aiplat.site.models import Site
way = way_to(Site.model_validate_json(sys.argv[1]))
way.to({address!r}, {port})
(held,) = way._connections.values()
print(held._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["itself", "killed"])
def test_a_tunnel_ends_with_its_process(ssh: None, service: int, end: str) -> None:
    """However that ends."""
    program = HOLDING.format(address=ADDRESS, port=service)
    document = BEHIND.model_dump_json(by_alias=True)
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", program, document], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout
    ssh_process = os.pidfd_open(int(process.stdout.readline()))
    if end == "killed":
        process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)

    assert select.select([ssh_process], [], [], 60)[0]
    os.close(ssh_process)
