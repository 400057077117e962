"""Packages of hosts' operating systems: what a component wants of which, and where each has its packages."""

from __future__ import annotations

from functools import cache
from typing import Self

from pydantic import Field, TypeAdapter, model_validator
from ruamel.yaml import YAML

from aiplat.catalog.artifacts import When
from aiplat.frozen import Frozen
from aiplat.shipped import shipped
from aiplat.site.systems import Arch, Like, OsName

SYSTEMS_FILE = "charts/platform/host-packages/systems.yaml"
_MACHINES: dict[Arch, str] = {"amd64": "x86_64", "arm64": "aarch64"}


class Repository(Frozen):
    """A repository of packages, of apt's form or of rpm's.

    Addresses may hold `{arch}` (amd64), `{machine}` (x86_64) and the system's own `names`. `suites` and
    `components` are apt's; a flat repository has the suite `/` and no component. `keyring` is a file below
    /usr/share/keyrings, `key` an address; a repository with neither is not signed, and trusted by its TLS
    and our lock alone. So is one of rpm's that `may_lack_signature` where its index has none.
    """

    apt: str | None = None
    rpm: str | None = None
    suites: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    keyring: str | None = None
    key: str | None = None
    may_lack_signature: bool = False
    arches: tuple[Arch, ...] = ("amd64", "arm64")

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.apt is None) == (self.rpm is None):
            raise ValueError("needs exactly one of apt, rpm")
        if (self.apt is None) == bool(self.suites):
            raise ValueError("apt and suites belong together")
        return self

    def at(self, arch: Arch, names: dict[str, str]) -> Repository:
        """Return the repository with its addresses filled in for one architecture."""
        values = {**names, "arch": arch, "machine": _MACHINES[arch]}
        filled = {
            field: value.format_map(values)
            for field in ("apt", "rpm", "key")
            if (value := getattr(self, field)) is not None
        }
        return self.model_copy(update=filled)


class BaseSet(Frozen):
    """What a minimal server of a release already has: packages of a priority, of a group, or named ones."""

    priorities: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


class SystemSource(Frozen):
    """Where an operating system has its packages, and what a minimal install of it already has."""

    base: BaseSet
    names: dict[str, str] = Field(default_factory=dict)
    repositories: tuple[Repository, ...]


class PackageRequest(Frozen):
    """What a component wants on hosts of one family, and where to look besides the system's own places."""

    packages: tuple[str, ...]
    repositories: tuple[Repository, ...] = ()


class OsPackages(Frozen):
    """Packages of the hosts' own operating systems with all they need, by family.

    `when` says for which hosts: all, those whose kernel runs SELinux or AppArmor (brought to all of the
    family, installed there alone), or those whose `hardware` in site.yaml names GPUs: all of them, those that
    want open or proprietary kernel modules, those with a fabric manager. `branch` is a key of versions.yaml:
    of packages that match a pattern of `one_version` only those of that branch are looked at, and all that
    are taken must have one version.
    `{branch}` in a package's name is the branch.
    """

    when: When = "always"
    families: dict[Like, PackageRequest]
    branch: str | None = None
    one_version: tuple[str, ...] = ()


@cache
def system_sources() -> dict[OsName, SystemSource]:
    """Return where each operating system has its packages."""
    document = YAML(typ="safe", pure=True).load(shipped(SYSTEMS_FILE))
    return TypeAdapter(dict[OsName, SystemSource]).validate_python(document)


def repositories_of(system: OsName, arch: Arch, request: PackageRequest) -> tuple[Repository, ...]:
    """Return every repository to look into for a host of that system and architecture."""
    source = system_sources()[system]
    every = (*source.repositories, *request.repositories)
    return tuple(one.at(arch, source.names) for one in every if arch in one.arches)
