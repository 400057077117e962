"""What a lab's bridge, table, groups and machines are called; leftovers are found by these names alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from aiplat.errors import BadInput, Finding
from aiplat.site.models import Site

# The kernel's limit for the name of a network interface (IFNAMSIZ less its terminating zero).
_LINK_NAME_MAX = 15
_BRIDGE_PREFIX = "al-"


@dataclass(frozen=True)
class LabNetwork:
    """The one /24 of a lab; the bridge has its first address, which is the hosts' route and nameserver."""

    subnet: IPv4Network
    gateway: IPv4Address


def bridge_name(lab: str) -> str:
    """Return the bridge's name: readable where it fits in 15 characters, else shortened with a digest."""
    plain = _BRIDGE_PREFIX + lab
    if len(plain) <= _LINK_NAME_MAX:
        return plain
    digest = hashlib.sha256(lab.encode()).hexdigest()
    return f"{_BRIDGE_PREFIX}{lab[:5]}-{digest[:6]}"


def bridge_mac(lab: str) -> str:
    """Return the bridge's hardware address, fixed so that it marks the bridge as this lab's.

    It is also how the egress rules tell frames for this machine from frames between hosts.
    """
    digest = hashlib.sha256(b"bridge " + lab.encode()).digest()
    return ":".join(["02", *(f"{byte:02x}" for byte in digest[:5])])


def table_name(lab: str) -> str:
    """Return the name of the lab's nftables table (family inet)."""
    return f"aiplat-lab-{lab}"


def cgroup_name(lab: str) -> str:
    """Return the name of the lab's control group, directly below each hierarchy's root."""
    return f"aiplat-lab-{lab}"


def machine_name(lab: str, host: str) -> str:
    """Return the name systemd-nspawn knows a host by: at most 64 characters, its own in every lab."""
    plain = f"{lab}.{host}"
    if len(plain) <= 64:
        return plain
    return f"{lab[:20]}.{host[:20]}.{hashlib.sha256(plain.encode()).hexdigest()[:16]}"


def lab_network(site: Site) -> LabNetwork:
    """Return the /24 that holds all hosts of the site.

    Raises:
        BadInput: an address is not IPv4, lies in another /24, or is the bridge's, the network's or broadcast.
    """
    first = IPv4Network(f"{_ipv4(site.hosts[0].address)}/24", strict=False)
    reserved = {
        first.network_address: "the network",
        first[1]: "the bridge",
        first.broadcast_address: "broadcast",
    }
    findings = []
    for index, host in enumerate(site.hosts):
        where, address = f"hosts[{index}].address", _ipv4(host.address)
        if address not in first:
            problem = f"{address} is not in {first}, where the lab's first host is"
            findings.append(Finding(where, problem, f"give {host.name} an address in {first}"))
        elif address in reserved:
            problem = f"{address} is {reserved[address]}'s own address"
            findings.append(Finding(where, problem, f"take another address from {first}"))
    if findings:
        raise BadInput(findings)
    return LabNetwork(first, first[1])


def _ipv4(address: str) -> IPv4Address:
    try:
        return IPv4Address(address)
    except ValueError as error:
        raise BadInput(Finding("hosts", f"{address} is not an IPv4 address", "lab hosts need one")) from error
