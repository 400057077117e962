"""Checks of time and of what tells hosts from one another."""

from __future__ import annotations

import re
from ipaddress import ip_address

from aiplat.hosts.check import BLOCKER, NOTE, WARNING, SeenHost, check, install, shared

# Certificates are valid from a moment ago, and a k3s token's join wants hosts within seconds of each other.
CLOCK_FAR, CLOCK_OFF = 120, 10
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@check("clock", BLOCKER, "set it: `timedatectl set-ntp true`, or `date -s` without a time server")
def clock(host: SeenHost) -> str | None:
    """The clock is right to two minutes, or certificates are refused."""
    return _clock(host, CLOCK_FAR, float("inf"))


@check("clock-exact", WARNING, "`timedatectl set-ntp true`; without Internet name a time server of your own")
def clock_exact(host: SeenHost) -> str | None:
    """The clock is right to ten seconds: logs and leases of several hosts are compared."""
    return _clock(host, CLOCK_OFF, CLOCK_FAR)


def _clock(host: SeenHost, above: float, up_to: float) -> str | None:
    off = host.look.clock_off
    if off is None:
        return None
    way = "ahead of" if off > 0 else "behind"
    return f"its clock is {abs(off):.0f} s {way} this machine's" if above < abs(off) <= up_to else ""


def _keep_time(host: SeenHost) -> str:
    services = ("chrony", "chronyd", "systemd-timesyncd", "ntpd")
    if any(host.active(unit) for unit in services):
        return "the time service runs, but has no server it can reach: see `chronyc sources` or `timedatectl`"
    return f"{install('chrony')(host)}, or `timedatectl set-ntp true`"


@check("clock-kept", WARNING, _keep_time, real=True)
def clock_kept(host: SeenHost) -> str | None:
    """A time service keeps the clock, so that it stays right."""
    kept = host.look.synchronised
    return None if kept is None else "" if kept else "no time service keeps its clock right"


@check(
    "hostname-valid", WARNING, "`hostnamectl set-hostname NAME` with lower-case letters, digits and hyphens"
)
def hostname_valid(host: SeenHost) -> str | None:
    """The host's own name is a DNS name in lower case."""
    name = host.look.hostname
    if not name:
        return None
    return (
        ""
        if LABEL.fullmatch(name) and len(name) <= 63
        else f"its name {name!r} is not a DNS name in lower case"
    )


@check("hostname-own", WARNING, "`hostnamectl set-hostname NAME`")
def hostname_own(host: SeenHost) -> str:
    """The host has a name of its own, not the one that a system is installed with."""
    name = host.look.hostname.partition(".")[0]
    return f"it is called {name}" if name in ("localhost", "debian", "ubuntu", "raspberrypi", "linux") else ""


@check("hostname-unique", BLOCKER, "give each host a name of its own: `hostnamectl set-hostname NAME`")
def hostname_unique(host: SeenHost) -> str:
    """No two hosts of the site have the same name."""
    names = shared(host, lambda look: look.hostname)
    return f"it has the same name ({host.look.hostname}) as {names}" if names else ""


@check("hostname-resolves", WARNING, "add a line to /etc/hosts: `ADDRESS NAME`")
def hostname_resolves(host: SeenHost) -> str | None:
    """The host finds its own name, which sudo and others ask for at each start."""
    found = host.look.own_addresses
    return None if found is None else "" if found else f"{host.look.hostname} is not known on the host itself"


@check("hostname-elsewhere", WARNING, "correct that line in /etc/hosts or the DNS")
def hostname_elsewhere(host: SeenHost) -> str | None:
    """The host's own name leads to an address of its own."""
    found = host.look.own_addresses
    if not found:
        return None
    own = {a.partition("/")[0] for link in host.look.links for a in link.addresses}
    strangers = [a for a in found if not ip_address(a.partition("%")[0]).is_loopback and a not in own]
    lost = own and len(strangers) == len(found)
    return f"{host.look.hostname} leads to {strangers[0]}, which is not the host's" if lost else ""


@check("machine-id", WARNING, "`systemd-machine-id-setup`", real=True)
def machine_id(host: SeenHost) -> str:
    """The host has a machine id."""
    return "" if host.look.machine_id and host.look.machine_id != "uninitialized" else "it has no machine id"


@check(
    "machine-id-unique",
    BLOCKER,
    "on all but one: `rm /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup`, then restart",
)
def machine_id_unique(host: SeenHost) -> str:
    """No two hosts have the same machine id, by which DHCP servers and logs tell them apart."""
    names = shared(host, lambda look: look.machine_id)
    return f"it has the same machine id as {names}: they were copied from one another" if names else ""


@check(
    "product-unique", NOTE, "give each virtual machine an identity of its own where that is set", real=True
)
def product_unique(host: SeenHost) -> str:
    """No two hosts have the same product id."""
    names = shared(host, lambda look: look.product_uuid)
    return f"it has the same product id as {names}" if names else ""


@check("mac-unique", BLOCKER, "give each virtual machine's card an address of its own")
def mac_unique(host: SeenHost) -> str:
    """No two hosts have a network card with the same hardware address."""
    own = {link.mac: link.name for link in host.look.links if link.up and link.mac.strip("0:")}
    for other in host.others:
        for link in other.look.links:
            if link.up and link.mac in own and not link.name.startswith(("cni", "flannel", "veth", "docker")):
                return f"{own[link.mac]} has the hardware address of {link.name} of {other.name} ({link.mac})"
    return ""
