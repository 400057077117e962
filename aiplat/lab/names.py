"""What a lab's bridge, table, groups and machines are called; leftovers are found by these names alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from aiplat.errors import BadInput, Finding
from aiplat.site.addresses import as_ip
from aiplat.site.models import Host, Site

# The kernel's limit for the name of a network interface (IFNAMSIZ less its terminating zero).
_LINK_NAME_MAX = 15
_BRIDGE_PREFIX = "al-"


@dataclass(frozen=True)
class LabNetwork:
    """The one /24 of a lab, and its /64 where hosts have IPv6 addresses; the bridge has each one's first.

    That is the hosts' route and, of IPv4, their name server.
    """

    subnet: IPv4Network
    subnet6: IPv6Network | None = None

    @property
    def gateway(self) -> IPv4Address:
        """The bridge's IPv4 address."""
        return self.subnet[1]

    @property
    def gateways(self) -> tuple[str, ...]:
        """The bridge's addresses with the lengths of their networks."""
        first = f"{self.gateway}/{self.subnet.prefixlen}"
        return (first, f"{self.subnet6[1]}/{self.subnet6.prefixlen}") if self.subnet6 else (first,)


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


def network_name(lab: str) -> str:
    """Return what a Docker engine calls the lab's network."""
    return f"aiplat-lab.{lab}"


def lab_network(site: Site) -> LabNetwork:
    """Return the /24 that holds all hosts of the site, and the /64 that holds their IPv6 addresses.

    Raises:
        BadInput: an address is not IPv4, lies in another network, or is the bridge's or the network's own.
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
    second = _subnet6(site)
    findings += _strays6(site, second) if second else []
    if findings:
        raise BadInput(findings)
    return LabNetwork(first, second)


def address6(host: Host) -> str:
    """Return the IPv6 address of a lab host beside the one it is reached by, or nothing."""
    return next((a for a in host.node_ips if isinstance(as_ip(a), IPv6Address)), "")


def _subnet6(site: Site) -> IPv6Network | None:
    first = next(filter(None, map(address6, site.hosts)), "")
    return IPv6Network(f"{first}/64", strict=False) if first else None


def _strays6(site: Site, subnet: IPv6Network) -> list[Finding]:
    """Return what is wrong with IPv6 addresses of hosts: they are in one /64 beside the bridge's."""
    findings = []
    for index, host in enumerate(site.hosts):
        address = IPv6Address(address6(host)) if address6(host) else None
        if address and (address not in subnet or address in (subnet[0], subnet[1])):
            problem = f"{address} is not in {subnet}, or is the network's or the bridge's own"
            fix = f"give {host.name} another address in {subnet}"
            findings.append(Finding(f"hosts[{index}].nodeAddress", problem, fix))
    return findings


def _ipv4(address: str) -> IPv4Address:
    try:
        return IPv4Address(address)
    except ValueError as error:
        raise BadInput(Finding("hosts", f"{address} is not an IPv4 address", "lab hosts need one")) from error
