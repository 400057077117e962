"""Keeps data inside the site where it says so: at load, before a call, for each resolved address."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
# Written out, because `is_private` also holds ranges that lead nowhere, or to a cloud's metadata service.
_PRIVATE = tuple(ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
# Names that only a cluster or a machine itself can resolve.
_INSIDE_NAMES = ("localhost", ".svc", ".cluster.local")


class Egress:
    """What counts as inside, and whether anything else may be asked.

    `inside` adds to private addresses and names of the cluster: networks (`203.0.113.0/24`) and names,
    with everything below a name that begins with a dot.

    Raises:
        ValueError: an entry of `inside` is neither.
    """

    def __init__(self, forbidden: bool = False, inside: Iterable[str] = ()) -> None:
        self.forbidden = forbidden
        self._networks: tuple[Network, ...] = ()
        self._names: tuple[str, ...] = _INSIDE_NAMES
        for entry in inside:
            if "/" in entry or _address(entry) is not None:
                self._networks = (*self._networks, ip_network(entry))
            else:
                self._names = (*self._names, entry.lower())

    def become(self, other: Egress) -> None:
        """Take over the rules of another; who holds this one need not be told."""
        self.forbidden, self._networks, self._names = other.forbidden, other._networks, other._names

    def refuses(self, url: str) -> str | None:
        """Return why `url` may not be asked, or None where it may."""
        if not self.forbidden or self.inside(url):
            return None
        return f"{_host(url)} is outside of the site, and egress is forbidden"

    def inside(self, url: str) -> bool:
        """Whether `url` names an address or a host inside of the site."""
        host = _host(url)
        address = _address(host)
        return self.holds(address) if address else self._holds_name(host)

    def holds(self, address: Address) -> bool:
        """Whether an address is inside."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        networks = (*_PRIVATE, *self._networks)
        return address.is_loopback or any(address in n for n in networks if n.version == address.version)

    def socket(self, address: AddrInfoType) -> socket.socket:
        """Return a socket for a connection, to an address that may be asked: the last look before it is made.

        Raises:
            OSError: the address is outside, and egress is forbidden.
        """
        family, kind, protocol, _, where = address
        target = _address(str(where[0]).partition("%")[0])
        if self.forbidden and (target is None or not self.holds(target)):
            raise OSError(None, f"{where[0]} is outside of the site, and egress is forbidden")
        return socket.socket(family, kind, protocol)

    def _holds_name(self, host: str) -> bool:
        return any(host == n or (n.startswith(".") and host.endswith(n)) for n in self._names)


@lru_cache(maxsize=1024)
def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").rstrip(".").lower()


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


class GuardedResolver(AbstractResolver):
    """Resolves names, and hides every address that is outside while egress is forbidden.

    A name that looks like one of the site's and leads elsewhere is thereby refused as well.
    """

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name that may be asked.

        Raises:
            OSError: the name is not known, or leads outside only.
        """
        found = await self._resolver.resolve(host, port, family)
        if not self._egress.forbidden:
            return found
        inside = [r for r in found if (a := _address(r["host"])) is not None and self._egress.holds(a)]
        if not inside:
            raise OSError(None, f"{host} leads outside of the site, and egress is forbidden")
        return inside

    async def close(self) -> None:
        """Release the resolver."""
        await self._resolver.close()
