"""Which artifacts have Debian packages of which there are newer ones; making them again is the supply's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from aiplat.catalog.artifacts import Artifact
from aiplat.supply.contract import Aged

Newest = Callable[[str, Collection[str]], Mapping[str, str]]
"""Given a release and names of packages: the version the release has of each now."""

GONE = "gone"
"""Stands for the version of a package that the release does not have any more."""


def aged(artifacts: Iterable[Artifact], newest: Newest) -> list[Aged]:
    """Return those whose packages are not the newest; every release is asked once."""
    with_packages = [artifact for artifact in artifacts if artifact.taken]
    now = _now({name for artifact in with_packages for name in artifact.taken or ()}, newest)
    compared = (Aged(artifact, _newer(artifact.taken or {}, now)) for artifact in with_packages)
    return [one for one in compared if one.packages]


def _now(names: Iterable[str], newest: Newest) -> dict[str, str]:
    """Return the version there is now by `release/name`."""
    by_release: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        release, _, package = name.partition("/")
        by_release[release].append(package)
    return {
        f"{release}/{package}": version
        for release, packages in by_release.items()
        for package, version in newest(release, packages).items()
    }


def _newer(taken: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {
        name.partition("/")[2]: (version, now.get(name, GONE))
        for name, version in taken.items()
        if now.get(name, GONE) != version
    }
