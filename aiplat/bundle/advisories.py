"""Advisories in OSV's format, from a folder, against the packages of a bundle; nothing is fetched."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from univers.versions import (
    AlpineLinuxVersion,
    DebianVersion,
    GolangVersion,
    PypiVersion,
    Version,
)

from aiplat.bundle.contents.package import FoundPackage
from aiplat.bundle.contents.read import Contents
from aiplat.content import parsed_json
from aiplat.errors import BadInput, Finding

_VERSIONS: dict[str, type[Version]] = {
    "pypi": PypiVersion,
    "golang": GolangVersion,
    "deb": DebianVersion,
    "apk": AlpineLinuxVersion,
}
_ECOSYSTEMS = {"PyPI": "pypi", "Go": "golang", "Debian": "deb", "Ubuntu": "deb", "Alpine": "apk"}
_MOST_BYTES = 8 << 20
Key = tuple[str, str, str]
"""Kind of a package, its distribution (`debian-13`, "" where there is none), its name."""


@dataclass(frozen=True)
class Affected:
    """A package that an advisory is about: single versions, and ranges as OSV's events."""

    advisory: str
    versions: frozenset[str]
    ranges: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True)
class Advisory:
    """What an advisory is called, what it says, and how severe it says that is."""

    name: str
    aliases: tuple[str, ...]
    summary: str
    severity: str


@dataclass
class Advisories:
    """All of a folder; `newest` is when the last of them was changed, "" where none was read."""

    by_package: dict[Key, list[Affected]] = field(default_factory=dict)
    known: dict[str, Advisory] = field(default_factory=dict)
    newest: str = ""
    ecosystems: set[str] = field(default_factory=set)
    too_large: list[str] = field(default_factory=list)
    """Files that no advisory is as large as, which were not read."""


@dataclass(frozen=True)
class Vulnerable:
    """A package that an advisory names with the version that is in the bundle; `fixed` in which it is not."""

    advisory: Advisory
    package: FoundPackage
    fixed: str
    found_in: tuple[str, ...]


def read_advisories(folder: Path) -> Advisories:
    """Return the advisories in a folder's JSON files and zip archives, as OSV exports them.

    Raises:
        BadInput: there are none, or one cannot be read.
    """
    read = Advisories()
    for name, text in _texts(folder, read.too_large):
        try:
            _add(read, parsed_json(text))
        except (ValueError, LookupError, TypeError, AttributeError):
            fix = "take the folder from its source again (https://osv.dev)"
            raise BadInput(Finding(name, "is not an advisory in OSV's format", fix)) from None
    if not read.known:
        fix = "name a folder with the JSON files or the all.zip of ecosystems that OSV exports"
        raise BadInput(Finding(str(folder), "has no advisories", fix))
    return read


def _texts(folder: Path, too_large: list[str]) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".json" and path.is_file():
            if path.stat().st_size > _MOST_BYTES:
                too_large.append(str(path))
            else:
                yield str(path), path.read_bytes()
        elif path.suffix == ".zip" and path.is_file():
            try:
                with zipfile.ZipFile(path) as archive:
                    for one in archive.infolist():
                        name = f"{path}/{one.filename}"
                        if one.filename.endswith(".json") and one.file_size > _MOST_BYTES:
                            too_large.append(name)
                        elif one.filename.endswith(".json"):
                            yield name, archive.read(one)
            except (zipfile.BadZipFile, OSError, RuntimeError, EOFError, zlib.error) as error:
                problem, fix = f"cannot be read: {error}", "take it from its source again (https://osv.dev)"
                raise BadInput(Finding(str(path), problem, fix)) from None


def _add(read: Advisories, document: dict[str, Any]) -> None:
    name = str(document["id"])
    read.newest = max(read.newest, str(document.get("modified", "")))
    if document.get("withdrawn"):
        return
    for one in document.get("affected", []):
        package = one.get("package", {})
        ecosystem, _, release = str(package.get("ecosystem", "")).partition(":")
        if not (kind := _ECOSYSTEMS.get(ecosystem)):
            continue
        read.ecosystems.add(ecosystem)
        key = (kind, _distribution(ecosystem, release), _plain(kind, str(package["name"])))
        versions = frozenset(map(str, one.get("versions", [])))
        affected = Affected(name, versions, tuple(map(_events, _ranges(one))))
        read.by_package.setdefault(key, []).append(affected)
    severities = [str(one.get("score", "")) for one in document.get("severity", [])]
    said = str(document.get("database_specific", {}).get("severity", "")) or next(iter(severities), "")
    aliases = tuple(map(str, document.get("aliases", [])))
    read.known[name] = Advisory(name, aliases, str(document.get("summary", "")), said)


def _ranges(affected: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Return the ranges of versions; those of commits say nothing about packages."""
    return (one for one in affected.get("ranges", []) if one.get("type") != "GIT")


def _events(given: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((str(kind), str(version)) for event in given["events"] for kind, version in event.items())


def _distribution(ecosystem: str, release: str) -> str:
    """Return `debian-13` for `Debian:13`, `alpine-3.21` for `Alpine:v3.21`."""
    if ecosystem in {"PyPI", "Go"}:
        return ""
    numbers = release.removeprefix("Pro:").partition(":")[0].removeprefix("v")
    return f"{ecosystem.lower()}-{numbers}" if numbers else ecosystem.lower()


def _plain(kind: str, name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-") if kind == "pypi" else name


def vulnerable(contents: list[Contents], advisories: Advisories) -> tuple[list[Vulnerable], list[str]]:
    """Return what advisories name, and sentences on the packages whose version cannot be compared."""
    found_in: dict[FoundPackage, set[str]] = {}
    for one in contents:
        for package in one.packages:
            found_in.setdefault(_without_place(package), set()).add(one.artifact.label)
    found: list[Vulnerable] = []
    problems: set[str] = set()
    for package, places in found_in.items():
        for affected in _about(package, advisories):
            try:
                fixed = _hit(package, affected)
            except ValueError:  # InvalidVersion is one, and so is a number of thousands of digits
                problems.add(f"{package.name} {package.version}: its version cannot be compared")
                continue
            if fixed is not None:
                advisory = advisories.known[affected.advisory]
                found.append(Vulnerable(advisory, package, fixed, tuple(sorted(places))))
    unique = {(one.advisory.name, one.package): one for one in found}
    return sorted(unique.values(), key=lambda one: (one.package.name, one.advisory.name)), sorted(problems)


def _without_place(package: FoundPackage) -> FoundPackage:
    """Return what advisories are about: packages by their source, wherever they lie."""
    name, version = package.name, package.version
    if package.kind in {"deb", "apk"}:
        name, version = package.source or name, package.source_version or version
    return FoundPackage(package.kind, name, version, "", "", system=package.system)


def _about(package: FoundPackage, advisories: Advisories) -> Iterator[Affected]:
    distribution = package.system
    if package.kind == "apk":
        distribution = ".".join(distribution.split(".")[:2])
    known = advisories.by_package
    yield from known.get((package.kind, distribution, _plain(package.kind, package.name)), [])


def _hit(package: FoundPackage, affected: Affected) -> str | None:
    """Return the version in which it is fixed ("" if in none), or None where this version is not affected.

    Raises:
        InvalidVersion: it cannot be compared.
    """
    if package.version in affected.versions:
        return next((v for events in affected.ranges for kind, v in events if kind == "fixed"), "")
    for events in affected.ranges:
        hit, fixed = _within(package, events)
        if hit:
            return fixed
    return None


def _within(package: FoundPackage, events: tuple[tuple[str, str], ...]) -> tuple[bool, str]:
    """Return whether a version lies in a range, by OSV's rules, and which version fixes it."""
    mine = _version(package.kind, package.version)
    ordered = sorted(
        (event for event in events if event[0] in {"introduced", "fixed", "last_affected"}),
        key=lambda event: (event[1] != "0", _version(package.kind, event[1]), event[0] != "introduced"),
    )
    hit, fixed = False, ""
    for kind, text in ordered:
        if kind == "introduced" and (text == "0" or mine >= _version(package.kind, text)):
            hit = True
        elif kind == "fixed":
            if mine >= _version(package.kind, text):
                hit = False
            elif hit:
                return True, text
        elif kind == "last_affected" and mine > _version(package.kind, text):
            hit = False
    return hit, fixed


@lru_cache(maxsize=65536)
def _version(kind: str, text: str) -> Version:
    return _VERSIONS[kind](text)
