"""The machines on the way to a host, as ssh's own configuration has them; asks ssh, reaches nobody."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiplat.errors import Finding
from aiplat.fleet.ssh import HostError, ssh_settings
from aiplat.fleet.ssh_config import as_options, connection
from aiplat.site.models import Host, Site

_MOST_HOPS = 8
_NEEDLESS = re.compile(r"\[([^:\]]+)\]")


@dataclass(frozen=True)
class Hop:
    """One machine on the way: `name` as known_hosts has it, `arguments` as ssh reaches it by."""

    name: str
    what: str
    arguments: tuple[str, ...]


def route(site: Site, host: Host) -> tuple[Hop, ...]:
    """Return the jump hosts on the way to a host in order, and the host itself last.

    Raises:
        HostError: ssh does not understand its configuration, or the way leads in a circle.
    """
    arguments = (*as_options(connection(site, host)), host.address)
    return tuple(_hops(site, host, arguments, f"host {host.name}", 0))


def login(site: Site, host: Host) -> list[str]:
    """Return how ssh reaches the host itself, without a command."""
    return [*as_options({"ControlPath": "none"} | connection(site, host)), host.address]


def _hops(site: Site, host: Host, arguments: Sequence[str], what: str, depth: int) -> list[Hop]:
    if depth > _MOST_HOPS:
        problem = f"the way to it has more than {_MOST_HOPS} jump hosts, or is a circle"
        raise HostError(Finding(host.name, problem, "see ProxyJump in ~/.ssh/config"))
    settings = ssh_settings(site, host, arguments)
    found = settings.get("proxyjump", "none")
    jumps = [jump for jump in found.split(",") if jump and jump != "none"]
    hops: list[Hop] = []
    for number, jump in enumerate(jumps):
        # Ssh puts every address in brackets; people do so with IPv6 alone.
        named = "jump host " + _NEEDLESS.sub(r"\1", jump)
        # Only for the first of them ssh heeds what the configuration says of jumping to it.
        before = ("-J", ",".join(jumps[:number])) if number else ()
        reached = (*before, f"ssh://{jump.removeprefix('ssh://')}")
        if number:
            hops.append(Hop(_known_as(ssh_settings(site, host, reached)), named, reached))
        else:
            hops += _hops(site, host, reached, named, depth + 1)
    return [*hops, Hop(_known_as(settings), what, tuple(arguments))]


def _known_as(settings: dict[str, str]) -> str:
    if alias := settings.get("hostkeyalias"):
        return alias
    name, port = settings.get("hostname", ""), settings.get("port", "22")
    return name if port == "22" else f"[{name}]:{port}"
