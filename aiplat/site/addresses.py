"""Tells IP addresses, DNS names and networks apart; what a site may do with them is in aiplat.site.rules."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?", re.IGNORECASE)


def as_ip(text: object) -> Address | None:
    """Return `text` as an IP address, or None; numbers and scoped addresses (`fe80::1%eth0`) are none."""
    if not isinstance(text, str) or "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def as_network(text: object) -> Network | None:
    """Return `text` as a network, host bits cleared; None where it is no `address/length`."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9a-fA-F:.]+/[0-9]{1,3}", text):
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def listed(text: str) -> tuple[str, ...]:
    """Return what stands between the commas of a text: one network or address, or one of each family."""
    return tuple(item.strip() for item in text.split(","))


def is_dns_name(text: str) -> bool:
    """Return whether `text` is a DNS name; one that ends in a number is a mistyped address."""
    name = text.removesuffix(".")
    return bool(_DNS_NAME.fullmatch(text)) and len(name) <= 253 and not name.rpartition(".")[2].isdigit()


def canonical(address: str) -> str:
    """Return an address in the one form under which equal addresses are equal text."""
    ip = as_ip(address)
    return str(ip) if ip else address.removesuffix(".").casefold()


def in_url(address: str) -> str:
    """Return a host as URLs want it: IPv6 addresses in brackets."""
    return f"[{address}]" if ":" in address else address
