"""The lab's bridge on this machine and the links on it; what may pass is decided in aiplat.lab.egress."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from aiplat.errors import BadInput, Finding
from aiplat.lab.names import LabNetwork, bridge_mac, bridge_name
from aiplat.lab.tools import attempt, run, run_json


def check_free(lab: str, network: LabNetwork) -> None:
    """Look whether the lab's bridge is there, or can be made; nothing is changed.

    Raises:
        BadInput: a link of that name is not this lab's, or the subnet is already used on this machine.
    """
    name = bridge_name(lab)
    link = _link(name)
    if link is not None and link["address"] != bridge_mac(lab):
        problem = f"the link {name} exists and is not this lab's"
        raise BadInput(Finding(f"lab {lab}", problem, "rename the site, or remove that link"))
    for other in run_json("ip", "-json", "address", "show"):
        for entry in other["addr_info"]:
            taken = _overlapped(network, entry) if other["ifname"] != name else None
            if taken is not None:
                problem = f"{other['ifname']} of this machine has {entry['local']}/{entry['prefixlen']}"
                fix = f"give the site's hosts addresses of another /{taken.prefixlen}"
                raise BadInput(Finding(f"subnet {taken}", problem, fix))


def make_bridge(lab: str, network: LabNetwork) -> bool:
    """Bring the lab's bridge up with its addresses; return whether anything had to be done."""
    name = bridge_name(lab)
    before = _link(name)
    if before is not None and "UP" in before["flags"] and set(network.gateways) <= _addresses(name):
        return False
    if before is None:
        mac = bridge_mac(lab)
        run("ip", "link", "add", "name", name, "address", mac, "type", "bridge", "forward_delay", "0")
    run("ip", "link", "set", name, "addrgenmode", "none")
    for address in network.gateways:
        # There is nobody else who could have it, so an IPv6 address need not be asked for first.
        run("ip", "address", "replace", address, "dev", name, *(["nodad"] if ":" in address else []))
    run("ip", "link", "set", name, "up")
    return True


def _overlapped(network: LabNetwork, entry: dict[str, Any]) -> IPv4Network | IPv6Network | None:
    """Return which of the lab's networks an address of this machine is in, or None."""
    other = ip_network(f"{entry['local']}/{entry['prefixlen']}", strict=False)
    if isinstance(other, IPv4Network):
        return network.subnet if network.subnet.overlaps(other) else None
    return network.subnet6 if network.subnet6 and network.subnet6.overlaps(other) else None


def _link(name: str) -> dict[str, Any] | None:
    # Asked of the kernel, not of /sys, which may show another network namespace.
    links: list[dict[str, Any]] = run_json("ip", "-json", "link", "show", "type", "bridge")
    return next((link for link in links if link.get("ifname") == name), None)


def _addresses(name: str) -> set[str]:
    entries = run_json("ip", "-json", "address", "show", "dev", name)
    return {f"{a['local']}/{a['prefixlen']}" for link in entries for a in link.get("addr_info", [])}


def bridge_links(lab: str) -> tuple[str, ...]:
    """Return the names of the lab's bridge and of every link still plugged into it, the bridge last."""
    name = bridge_name(lab)
    link = _link(name)
    if link is None or link["address"] != bridge_mac(lab):
        return ()
    ports = run_json("ip", "-json", "link", "show", "master", name)
    return (*(p["ifname"] for p in ports if p), name)


def unplug_hosts(lab: str) -> None:
    """Remove the links of hosts that have ended: left alone they go late and hold up the next boot."""
    for name in bridge_links(lab)[:-1]:
        attempt(("ip", "link", "delete", name))


def remove_links(lab: str) -> tuple[str, ...]:
    """Remove the lab's bridge and what is plugged into it; return the names of what was there."""
    names = bridge_links(lab)
    for name in names:
        # A host's end goes by itself when its network namespace ends, perhaps just now.
        attempt(("ip", "link", "delete", name))
    return names
