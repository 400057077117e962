"""What a check of hosts is, and how one is written; the checks themselves are in aiplat.hosts.checks."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from aiplat.hosts.facts import HostLook
from aiplat.hosts.paths import SYSTEM_DATA
from aiplat.site.addresses import listed

Severity = Literal["blocker", "warning", "note"]
BLOCKER: Severity = "blocker"
WARNING: Severity = "warning"
NOTE: Severity = "note"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class HostNeeds:
    """What the host is wanted for."""

    site: str
    role: Literal["server", "agent"]
    node_address: str
    """The address under which the other hosts reach it; with two address families both, with a comma."""
    pod_cidr: str = "10.42.0.0/16"
    service_cidr: str = "10.43.0.0/16"
    brought: frozenset[str] = frozenset()
    """Packages of its system that the host gets with everything else."""
    data: str = SYSTEM_DATA
    """The folder in which everything large will be."""
    accepted: tuple[str, ...] = ()
    """Checks whose troubles are known and accepted: they are reported as notes."""
    asks_host: bool = True
    """Whether pods ask the host's name servers for outside names; a site may name others, or nobody."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """The host's addresses among the others, one of each of the cluster's families."""
        return listed(self.node_address)

    @property
    def has_ipv6(self) -> bool:
        """Whether it gets pods with IPv6 addresses."""
        return any(network.version == 6 for _, network in self.networks)

    @property
    def address(self) -> str:
        """The first of them."""
        return self.addresses[0]

    @property
    def networks(self) -> tuple[tuple[str, Network], ...]:
        """The cluster's networks, each with its key in the site file."""
        texts = (("podCIDR", self.pod_cidr), ("serviceCIDR", self.service_cidr))
        return tuple((key, ipaddress.ip_network(item)) for key, text in texts for item in listed(text))


@dataclass(frozen=True)
class SeenHost:
    """A host that was looked at, what it is wanted for, and all hosts of the site, itself among them."""

    name: str
    look: HostLook
    needs: HostNeeds
    fellows: tuple[SeenHost, ...] = ()

    @property
    def others(self) -> tuple[SeenHost, ...]:
        """The site's other hosts that could be looked at."""
        return tuple(f for f in self.fellows if f.name != self.name and not f.look.problem)

    def active(self, unit: str) -> bool:
        """Whether a systemd unit runs."""
        return self.look.services.get(unit) in ("active", "activating", "reloading")

    def trace(self, *begins: str) -> str:
        """Return the first telling path that begins with one of these, or nothing."""
        return next((path for path in self.look.traces if path.startswith(begins)), "")


Ask = Callable[[SeenHost], str | None]
"""Returns what is wrong, nothing where nothing is, None where it could not be seen."""

Fix = str | Callable[[SeenHost], str]


@dataclass(frozen=True)
class HostCheck:
    """One precondition: its name, how bad it is where it is not met, what must be so, and what to do.

    `early` ones are asked first, and the others only where those hold. `fresh` ones are asked only of hosts
    that have nothing of aiplat's, `real` ones only of hosts that are not the lab's.
    """

    name: str
    severity: Severity
    wants: str
    ask: Ask
    fix: Fix
    early: bool = False
    fresh: bool = False
    real: bool = False

    def concerns(self, host: SeenHost) -> bool:
        """Whether this host is asked at all."""
        if self.fresh and host.look.owner is not None:
            return False
        return not (self.real and host.look.lab is not None)

    def fix_for(self, host: SeenHost) -> str:
        """Return what to do about it on this host."""
        return self.fix if isinstance(self.fix, str) else self.fix(host)


CHECKS: list[HostCheck] = []
"""Every check, in the order in which they are reported."""


def check(  # noqa: PLR0913 - each says when a check is asked
    name: str, severity: Severity, fix: Fix, *, early: bool = False, fresh: bool = False, real: bool = False
) -> Callable[[Ask], Ask]:
    """Make a function a check; its docstring is what must be so."""

    def add(ask: Ask) -> Ask:
        wants = " ".join((ask.__doc__ or "").split())
        CHECKS.append(HostCheck(name, severity, wants, ask, fix, early, fresh, real))
        return ask

    return add


def install(debian: str, redhat: str = "", suse: str = "") -> Callable[[SeenHost], str]:
    """Return a fix that installs a package by the host's own means."""

    def fix(host: SeenHost) -> str:
        family = family_of(host.look.os_id)
        if family == "redhat":
            return f"dnf install {redhat or debian}"
        return (
            f"zypper install {suse or redhat or debian}" if family == "suse" else f"apt-get install {debian}"
        )

    return fix


FAMILIES = {
    "debian": ("debian", "ubuntu", "raspbian"),
    "redhat": ("rhel", "rocky", "almalinux", "centos", "ol", "fedora", "amzn"),
    "suse": ("sles", "sled", "opensuse-leap", "sle_hpc", "sl-micro", "opensuse-tumbleweed"),
}


def family_of(os_id: str) -> str:
    """Return the family of an operating system by its os-release ID, or nothing."""
    return next((name for name, ids in FAMILIES.items() if os_id in ids), "")


def shared(host: SeenHost, value: Callable[[HostLook], str]) -> str:
    """Return the names of other hosts that have the same value, where there is one."""
    own = value(host.look)
    return ", ".join(other.name for other in host.others if own and value(other.look) == own)


def networks(texts: Sequence[str]) -> list[Network]:
    """Return those texts that are networks or addresses in one."""
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    return found
