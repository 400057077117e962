"""Packages of apt's repositories, and every way in which an index is not what it must be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aiplat.catalog.artifacts import OsPackage
from aiplat.catalog.os_recipes import OsPackages
from aiplat.errors import AiplatError
from aiplat.supply.upstream.ospackages import signatures
from aiplat.supply.upstream.ospackages.choice import choose_packages
from tests.supply.ospackages.conftest import Ask, packages_for
from tests.upstreams.apt_repository import AptRepository, Deb
from tests.upstreams.signing import Signer

LIBC = Deb("libc6", "2.36-9", priority="required")
TOOL = Deb("tool", "1:2.0-1", fields={"Depends": "libc6 (>= 2.30), libtool1 (= 2.0~rc1-1) | tool-less"})
LIBRARY = Deb("libtool1", "2.0~rc1-1", fields={"Pre-Depends": "libc6"})
SUITES = ("bookworm", "bookworm-updates", "bookworm-security")

Archive = Callable[..., list[OsPackage]]


@pytest.fixture
def keys(tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of keyrings; Debian's is the test's own."""
    folder = tmp_path / "keyrings"
    folder.mkdir()
    (folder / "debian-archive-keyring.gpg").write_bytes(signer.binary)
    monkeypatch.setattr(signatures, "KEYRINGS", folder)
    return folder


@pytest.fixture
def chosen(tmp_path: Path, signer: Signer, ask: Ask, keys: Path) -> Archive:
    """Return a function that chooses packages from an archive with these in it."""

    def choose(*debs: Deb, wanted: tuple[str, ...] = ("tool",), **how: Any) -> list[OsPackage]:
        by, change, arch = how.pop("by", signer), how.pop("change", None), how.pop("arch", "amd64")
        more = {name: how.pop(name) for name in ("branch", "one_version") if name in how}
        archive = AptRepository(tmp_path / "archive", by)
        security = AptRepository(tmp_path / "security", by, base="/debian-security")
        archive.add(*debs)
        for suite in SUITES:
            (security if suite.endswith("-security") else archive).publish(suite, **how)
        if change:
            change(archive.files)
        http = ask({"deb.debian.org": archive.files, "security.debian.org": security.files})
        recipe = OsPackages.model_validate({"families": {"debian": {"packages": wanted}}, **more})
        return list(choose_packages(packages_for("debian-12", arch), recipe, http))

    return choose


def refused(chosen: Archive, *debs: Deb, **how: Any) -> str:
    """Return the sentence with which a choice is refused."""
    with pytest.raises(AiplatError) as caught:
        chosen(*debs, **how)
    return str(caught.value)


def test_what_a_package_needs_comes_with_it_and_what_is_there_does_not(
    chosen: Archive, signer: Signer
) -> None:
    """The library is carried, libc6 is not: every install has it."""
    found = chosen(LIBC, TOOL, LIBRARY, Deb("other"))
    assert [(p.name, p.version, p.arch) for p in found] == [
        ("libtool1", "2.0~rc1-1", "amd64"),
        ("tool", "1:2.0-1", "amd64"),
    ]
    assert found[1].source == "http://deb.debian.org/debian/pool/tool_2.0-1_amd64.deb"
    assert found[1].signed == f"{signer.fingerprint} (debian-archive-keyring.gpg)"
    assert found[1].digest.startswith("sha256:")
    assert found[1].size > 0


def test_the_newest_version_is_taken_as_dpkg_orders_them(chosen: Archive) -> None:
    """A release candidate is older than the release, ten is newer than nine; one version alone is taken."""
    versions = ("1.9-1", "1.10~rc1-1", "1.10-1", "1.10-1~bpo1")
    found = chosen(LIBC, *(Deb("tool", version) for version in versions))
    assert [(p.name, p.version) for p in found] == [("tool", "1.10-1")]


def test_an_alternative_will_do(chosen: Archive) -> None:
    """Where the first of several is not there, the next one is taken, and what stands for a name counts."""
    fallback = Deb("less", fields={"Provides": "tool-less"})
    assert [p.name for p in chosen(LIBC, TOOL, fallback)] == ["less", "tool"]


def test_a_tampered_package_list_is_refused(chosen: Archive) -> None:
    """The list is not the one whose digest is signed."""

    def change(files: dict[str, Any]) -> None:
        for name, data in files.items():
            if "/binary-amd64/" in name and data:
                files[name] = data[:-1] + bytes([data[-1] ^ 1])

    assert "its content is sha256:" in refused(chosen, LIBC, TOOL, LIBRARY, change=change)


def test_a_tampered_release_is_refused(chosen: Archive) -> None:
    """Somebody on the way cannot write another digest into the index."""

    def change(files: dict[str, Any]) -> None:
        name = "/debian/dists/bookworm/InRelease"
        files[name] = files[name].replace(b"Origin: Test", b"Origin: Evil")

    assert refused(chosen, LIBC, TOOL, change=change).startswith(
        "http://deb.debian.org/debian/dists/bookworm/InRelease: is not what was signed; it was altered"
    )


def test_somebody_else_s_signature_is_refused(chosen: Archive, tmp_path: Path) -> None:
    """The sentence names the key that signed and the keys that may."""
    stranger = Signer(tmp_path, "stranger")
    said = refused(chosen, LIBC, TOOL, by=stranger)
    stranger.stop()
    assert f"is signed with key {stranger.fingerprint[-16:]}" in said
    assert "which is not in debian-archive-keyring.gpg" in said


def test_an_index_without_a_signature_is_refused(chosen: Archive) -> None:
    """Plain HTTP and no signature is not a source."""
    assert "Release: is not signed; use a mirror that keeps the signatures" in refused(chosen, LIBC, by=None)


def test_a_detached_signature_will_do(chosen: Archive) -> None:
    """Old mirrors have Release and Release.gpg alone."""

    def change(files: dict[str, Any]) -> None:
        for name in [name for name in files if name.endswith("InRelease")]:
            del files[name]

    assert [p.name for p in chosen(LIBC, TOOL, LIBRARY, change=change)] == ["libtool1", "tool"]


def test_an_expired_index_is_refused(chosen: Archive) -> None:
    """A mirror that stands still hides updates; the sentence says until when it was valid."""
    said = refused(chosen, LIBC, TOOL, valid=-timedelta(days=1))
    assert "its index was valid until" in said
    assert "use another mirror, or set this machine's clock right" in said


def test_an_index_of_tomorrow_is_refused(chosen: Archive) -> None:
    """This machine's clock is what is wrong then."""
    said = refused(chosen, LIBC, TOOL, date=datetime.now(UTC) + timedelta(days=2))
    assert "which is still to come; set this machine's clock right" in said


def test_an_index_of_another_release_is_refused(chosen: Archive) -> None:
    """A mirror that answers with its newest release whatever is asked for is noticed."""
    said = refused(chosen, LIBC, TOOL, codename="trixie")
    assert "is the index of stable or trixie, not of bookworm" in said


def test_an_architecture_that_the_archive_lacks_is_named(chosen: Archive) -> None:
    """A mirror of amd64 alone cannot serve arm64 hosts."""
    said = refused(chosen, LIBC, TOOL, arch="arm64", arches=("amd64",))
    assert "has packages for amd64, none for arm64" in said


def test_each_architecture_gets_its_own_packages(chosen: Archive) -> None:
    """Only packages of the host's architecture, or of all, are looked at."""
    found = chosen(Deb("tool", "1-1"), Deb("tool", "1-1", arch="arm64"), arch="arm64")
    assert [(p.name, p.arch) for p in found] == [("tool", "arm64")]


def test_a_package_that_is_not_there_is_named(chosen: Archive) -> None:
    """All of them at once."""
    said = refused(chosen, LIBC, wanted=("tool", "other"))
    assert "for debian-12: there is no package tool" in said
    assert "for debian-12: there is no package other" in said


def test_a_dependency_that_is_not_there_is_named(chosen: Archive) -> None:
    """With the version that is wanted, as the package says it."""
    said = refused(chosen, LIBC, Deb("tool", fields={"Depends": "libfoo (>= 1:3.2-1)"}))
    assert "nothing provides libfoo >= 1:3.2-1 needed by tool-1.0-1" in said


def test_packages_that_exclude_each_other_are_refused(chosen: Archive) -> None:
    """The conflict is named, with both."""
    debs = (LIBC, Deb("tool"), Deb("rival", fields={"Conflicts": "tool"}))
    said = refused(chosen, *debs, wanted=("tool", "rival"))
    assert "rival-1.0-1" in said
    assert "conflicts with tool" in said


def test_two_versions_of_what_must_have_one_are_refused(chosen: Archive) -> None:
    """A driver whose parts come in two versions does not load."""
    debs = (
        LIBC,
        Deb("driver", "580.95-1", fields={"Depends": "driver-library, driver-module"}),
        Deb("driver-library", "580.95-1"),
        Deb("driver-module", "580.82-1"),
    )
    how: dict[str, Any] = {"branch": "nvidia.driver", "one_version": ("driver*",)}
    said = refused(chosen, *debs, wanted=("driver",), **how)
    assert "more than one version of what must have the same" in said
    assert "580.82: driver-module; 580.95: driver, driver-library" in said


def test_other_branches_are_not_looked_at(chosen: Archive) -> None:
    """A newer branch in the same archive is not drifted into."""
    debs = (LIBC, Deb("driver", "580.95-1"), Deb("driver", "610.1-1"))
    found = chosen(*debs, wanted=("driver",), branch="nvidia.driver", one_version=("driver*",))
    assert [(p.name, p.version) for p in found] == [("driver", "580.95-1")]


def test_keys_that_are_not_on_this_machine_are_named(chosen: Archive, keys: Path) -> None:
    """Nothing is taken unchecked, and the package that has the keys is named."""
    (keys / "debian-archive-keyring.gpg").unlink()
    said = refused(chosen, LIBC, TOOL)
    assert "the keys debian-archive-keyring.gpg are not on this machine" in said
    assert said.endswith("install debian-archive-keyring")
