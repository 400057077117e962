"""The operating systems that hosts may have, by their names in site.yaml; their packages are supply's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Family = Literal["deb", "rpm"]
Like = Literal["debian", "ubuntu", "rhel", "suse"]
Arch = Literal["amd64", "arm64"]
OsName = Literal[
    "debian-12",
    "debian-13",
    "ubuntu-22.04",
    "ubuntu-24.04",
    "rhel-9",
    "rocky-9",
    "almalinux-9",
    "opensuse-leap-15.6",
    "sles-15.6",
]
"""Every release this version carries packages for, by os-release's ID and VERSION_ID."""

MACHINES: Mapping[str, Arch] = MappingProxyType({"x86_64": "amd64", "aarch64": "arm64"})
"""What `uname -m` says of a host, and what site.yaml says of it."""


@dataclass(frozen=True)
class OsRelease:
    """One release of an operating system: how it packs programs, whose names they have, what it is called."""

    family: Family
    like: Like
    title: str


SYSTEMS: Mapping[OsName, OsRelease] = MappingProxyType(
    {
        "debian-12": OsRelease("deb", "debian", "Debian 12 (bookworm)"),
        "debian-13": OsRelease("deb", "debian", "Debian 13 (trixie)"),
        "ubuntu-22.04": OsRelease("deb", "ubuntu", "Ubuntu 22.04 LTS (jammy)"),
        "ubuntu-24.04": OsRelease("deb", "ubuntu", "Ubuntu 24.04 LTS (noble)"),
        "rhel-9": OsRelease("rpm", "rhel", "Red Hat Enterprise Linux 9"),
        "rocky-9": OsRelease("rpm", "rhel", "Rocky Linux 9"),
        "almalinux-9": OsRelease("rpm", "rhel", "AlmaLinux 9"),
        "opensuse-leap-15.6": OsRelease("rpm", "suse", "openSUSE Leap 15.6"),
        "sles-15.6": OsRelease("rpm", "suse", "SUSE Linux Enterprise Server 15 SP6"),
    }
)

# Their minor releases are one release for whoever installs packages.
_BY_MAJOR = frozenset({"rhel", "rocky", "almalinux", "centos", "ol", "fedora", "debian"})


def system_name(os_id: str, os_version: str) -> str:
    """Return the name that site.yaml has for what os-release says, empty where it says nothing."""
    version = os_version.partition(".")[0] if os_id in _BY_MAJOR else os_version
    return "-".join(part for part in (os_id, version) if part)


def arch_of(machine: str) -> Arch | None:
    """Return the architecture of a `uname -m`, or None for one that this version does not know."""
    return MACHINES.get(machine)
