"""Debian packages that have newer versions are taken again when somebody asks for it, and only then."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from aiplat.errors import AiplatError, Finding
from aiplat.supply import packages
from aiplat.supply.contract import Supplied
from aiplat.supply.debian import base_key
from aiplat.supply.packages import PackagesSupply
from tests.supply.worlds import Workshop, silent, supply

TOOL, SERVER = "tool", "docker.io/example/server"
OLD = {SERVER: {"one/openssl": "3.0.1", "one/libc6": "2.36"}, TOOL: {"two/nftables": "1.0"}}


class Debian:
    """Two releases whose packages' versions a test sets; notes what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.versions = {name: version for taken in OLD.values() for name, version in taken.items()}
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        monkeypatch.setattr(packages, "newest", self.newest)

    def newest(self, _cache: Path, suite: str, names: Collection[str]) -> Mapping[str, str]:
        """Answer as the index of a release does."""
        self.asked.append((suite, tuple(names)))
        return {n: v for n in names if (v := self.versions.get(f"{suite}/{n}"))}


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> Debian:
    """Return the releases as they were when everything was made."""
    return Debian(monkeypatch)


@pytest.fixture
def workshop() -> Workshop:
    """Return builders two of whose artifacts have Debian packages in them."""
    workshop = Workshop()
    workshop.debian = {name: dict(taken) for name, taken in OLD.items()}
    return workshop


@pytest.fixture
def made(cache_root: Path, workshop: Workshop) -> PackagesSupply:
    """Return a supply that has made everything."""
    made = supply(cache_root, workshop)
    build(made)
    return made


def build(made: PackagesSupply) -> dict[str, Supplied]:
    """Make what is not made yet and return all by name."""
    return {a.name: made.supply(a, silent) for a in made.lock.artifacts}


def test_the_lock_says_what_was_taken(made: PackagesSupply) -> None:
    """An artifact without Debian packages says nothing of them."""
    taken = {name: supplied.artifact.taken for name, supplied in build(made).items()}
    assert {name: packages for name, packages in taken.items() if packages} == OLD


def test_nothing_newer_makes_nothing_anew(made: PackagesSupply, debian: Debian, workshop: Workshop) -> None:
    """Each release is asked once, for all packages of all artifacts."""
    assert made.refresh(made.lock.artifacts) == []
    build(made)
    assert debian.asked == [("one", ("libc6", "openssl")), ("two", ("nftables",))]
    assert set(workshop.calls.values()) == {1}


def test_a_newer_package_makes_anew_what_it_is_in(
    made: PackagesSupply, debian: Debian, workshop: Workshop
) -> None:
    """The rest stays; the content and the lock then have the newer one."""
    before = build(made)
    debian.versions["one/openssl"] = workshop.debian[SERVER]["one/openssl"] = "3.0.2"
    aged = made.refresh(made.lock.artifacts)
    assert [str(one) for one in aged] == ["image docker.io/example/server: openssl 3.0.1 → 3.0.2"]
    after = build(made)
    assert {name for name, calls in workshop.calls.items() if calls == 2} == {SERVER}
    assert after[SERVER].artifact.digest != before[SERVER].artifact.digest
    assert after[SERVER].artifact.taken == {"one/libc6": "2.36", "one/openssl": "3.0.2"}
    assert made.refresh(made.lock.artifacts) == []


def test_a_package_that_is_gone_counts_as_aged(made: PackagesSupply, debian: Debian) -> None:
    """What the release does not have any more cannot be taken again as it was."""
    del debian.versions["two/nftables"]
    assert [str(one) for one in made.refresh(made.lock.artifacts)] == ["hostfile tool: nftables 1.0 → gone"]


def test_without_an_index_nothing_is_forgotten(
    made: PackagesSupply, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror that does not answer is said, and everything kept is as good as before."""

    def fail(*_: object) -> Mapping[str, str]:
        raise AiplatError(Finding("Debian one: package index", "apt-get failed"))

    monkeypatch.setattr(packages, "newest", fail)
    with pytest.raises(AiplatError, match="package index"):
        made.refresh(made.lock.artifacts)
    build(made)
    assert set(workshop.calls.values()) == {1}


def test_what_never_said_what_it_took_is_made_anew(
    made: PackagesSupply, debian: Debian, workshop: Workshop
) -> None:
    """So is the base image below it, which may have aged just as well."""
    base = made.cache.part(base_key(), lambda folder: (folder / "status").touch())
    made.discard(made.lock.artifact("image", SERVER))
    workshop.debian = {}
    build(made)
    aged = made.refresh(made.lock.artifacts)
    says = "image docker.io/example/server: does not say which Debian packages it has"
    assert [str(one) for one in aged] == [says]
    assert not base.exists()
