"""Chooses networks for pods and services that collide with nothing that hosts have a way to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiplat.hosts.check import Network, networks
from aiplat.hosts.checks.network import OURS
from aiplat.hosts.facts import HostLook

USUAL = ("10.42.0.0/16", "10.43.0.0/16")


@dataclass(frozen=True)
class FreeNetworks:
    """The networks, and the ones in the way of the usual two."""

    pods: str
    services: str
    in_the_way: tuple[str, ...] = ()


def free_networks(looks: Sequence[HostLook]) -> FreeNetworks | None:
    """Return the usual networks, or the next that are free; None where all of 10/8 and 172.16/12 is taken."""
    taken = [network for look in looks for network in _of(look)]
    free = (str(n) for n in _candidates() if not _overlaps(n, taken))
    usual = [network for text in USUAL for network in networks([text])]
    blocking = sorted({str(t) for t in taken for n in usual if _overlaps(n, [t])})
    if not blocking:
        return FreeNetworks(*USUAL)
    pods, services = next(free, None), next(free, None)
    return FreeNetworks(pods, services, tuple(blocking)) if pods and services else None


def _of(look: HostLook) -> list[Network]:
    own = [a for link in look.links if not link.name.startswith(OURS) for a in link.addresses]
    ways = [r.to for r in look.routes if r.to != "default" and not r.link.startswith(OURS)]
    servers = [*look.nameservers, *look.nameservers_behind]
    return networks([*own, *ways, *servers])


def _candidates() -> Iterator[Network]:
    for second in (*range(42, 60), *range(100, 250)):
        yield ipaddress.ip_network(f"10.{second}.0.0/16")
    for second in range(16, 32):
        yield ipaddress.ip_network(f"172.{second}.0.0/16")


def _overlaps(network: Network, taken: Sequence[Network]) -> bool:
    return any(t.version == network.version and t.overlaps(network) for t in taken)
