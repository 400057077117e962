"""Packages of rpm's repositories: made by rpmbuild, indexed by createrepo_c, chosen by libsolv."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiplat.catalog.artifacts import OsPackage
from aiplat.catalog.os_recipes import OsPackages, Repository
from aiplat.errors import AiplatError
from aiplat.site.systems import OsName
from aiplat.supply.upstream.ospackages import signatures
from aiplat.supply.upstream.ospackages.choice import choose_packages
from aiplat.supply.upstream.ospackages.rpm_index import rpm_index
from tests.supply.ospackages.conftest import Ask, packages_for
from tests.upstreams.rpm_repository import Rpm, rpm_repository
from tests.upstreams.signing import Signer

BASE = "/pub/rocky/9/BaseOS/x86_64/os"
STREAM = "/pub/rocky/9/AppStream/x86_64/os"
GLIBC = Rpm("glibc", "2.34")
POLICY = Rpm("selinux-policy", "38.1", arch="noarch", tags=("Requires: glibc",))
CONTAINER = Rpm(
    "container-selinux", "2.232", arch="noarch", epoch="4", tags=("Requires: selinux-policy >= 38",)
)
OURS = Rpm("k3s-selinux", "1.6", arch="noarch", tags=("Requires: container-selinux >= 4:2.200",))
WANTED = ("k3s-selinux",)

Archive = Callable[..., list[OsPackage]]


@pytest.fixture
def chosen(tmp_path: Path, signer: Signer, ask: Ask) -> Archive:
    """Return a function that chooses from a base repository, an application stream and k3s' own."""

    def choose(*streamed: Rpm, **how: Any) -> list[OsPackage]:
        by, change, system = how.pop("by", signer), how.pop("change", None), how.pop("system", "rocky-9")
        wanted: tuple[str, ...] = how.pop("wanted", WANTED)
        files = rpm_repository(tmp_path / "base", BASE, (GLIBC, POLICY), by, core=("selinux-policy",))
        packed = how.pop("packed", "")
        files |= rpm_repository(tmp_path / "stream", STREAM, streamed, by, packed=packed)
        files["/pub/rocky/RPM-GPG-KEY-Rocky-9"] = signer.armoured
        if change:
            change(files)
        k3s = rpm_repository(tmp_path / "k3s", "/k3s/stable/common/centos/9/noarch", (OURS,), None)
        http = ask({"dl.rockylinux.org": files, "rpm.rancher.io": k3s})
        wish = {
            "packages": wanted,
            "repositories": [{"rpm": "https://rpm.rancher.io/k3s/stable/common/{rancher}/noarch"}],
        }
        recipe = OsPackages.model_validate({"families": {"rhel": wish}, **how})
        return list(choose_packages(packages_for(system), recipe, http))

    return choose


def refused(chosen: Archive, *streamed: Rpm, **how: Any) -> str:
    """Return the sentence with which a choice is refused."""
    with pytest.raises(AiplatError) as caught:
        chosen(*streamed, **how)
    return str(caught.value)


@pytest.mark.parametrize("system", ["rocky-9", "rhel-9"])
def test_selinux_rules_come_with_what_a_minimal_install_lacks(
    chosen: Archive, signer: Signer, system: OsName
) -> None:
    """The group `core` and what it needs is there already; each package says what vouches for it."""
    found = chosen(CONTAINER, system=system)
    assert [(p.name, p.version, p.arch) for p in found] == [
        ("container-selinux", "4:2.232-1.el9", "noarch"),
        ("k3s-selinux", "1.6-1.el9", "noarch"),
    ]
    assert found[0].source == f"https://dl.rockylinux.org{STREAM}/container-selinux-2.232-1.el9.noarch.rpm"
    key = "the key from https://dl.rockylinux.org/pub/rocky/RPM-GPG-KEY-Rocky-9"
    assert found[0].signed == f"{signer.fingerprint} ({key})"
    assert found[1].signed == "nothing but TLS: the repository's index is not signed"


@pytest.mark.parametrize("packed", [".xz", ".zst"])
def test_lists_are_unpacked_however_they_are_packed(chosen: Archive, packed: str) -> None:
    """Older repositories have gzip, newer ones xz or zstd."""
    assert [p.name for p in chosen(CONTAINER, packed=packed)] == ["container-selinux", "k3s-selinux"]


def test_the_newest_version_alone_is_taken(chosen: Archive) -> None:
    """Two versions are in the repository, the epoch decides."""
    old = Rpm("container-selinux", "9.0", arch="noarch", epoch="3")
    assert [p.version for p in chosen(old, CONTAINER) if p.name == "container-selinux"] == ["4:2.232-1.el9"]


def test_a_tampered_list_of_packages_is_refused(chosen: Archive) -> None:
    """It is not the one whose digest repomd.xml has."""

    def change(files: dict[str, Any]) -> None:
        for name, data in files.items():
            if "primary.xml" in name and STREAM in name:
                files[name] = data[:-1] + bytes([data[-1] ^ 1])

    assert "its content is sha256:" in refused(chosen, CONTAINER, change=change)


def test_a_tampered_index_is_refused(chosen: Archive) -> None:
    """repomd.xml is signed beside itself."""

    def change(files: dict[str, Any]) -> None:
        name = f"{STREAM}/repodata/repomd.xml"
        files[name] = files[name].replace(b"<revision>", b"<revision>9")

    assert "repomd.xml: is not what was signed" in refused(chosen, CONTAINER, change=change)


def test_somebody_else_s_signature_is_refused(chosen: Archive, tmp_path: Path) -> None:
    """The key that signed and the key that may are named."""
    stranger = Signer(tmp_path, "stranger")
    said = refused(chosen, CONTAINER, by=stranger)
    stranger.stop()
    assert f"is signed with key {stranger.fingerprint[-16:]}, which is not in the key from" in said


def test_what_may_lack_a_signature_says_what_vouches_for_it(chosen: Archive) -> None:
    """Not every archive of the RHEL family signs its index; the lock does not claim what is not there."""
    assert {p.signed for p in chosen(CONTAINER, by=None)} == {signatures.UNSIGNED}


def test_an_index_without_a_signature_is_refused(tmp_path: Path, ask: Ask, signer: Signer) -> None:
    """Where a key is named and nothing else said, the index must be signed with it."""
    files = rpm_repository(tmp_path / "made", "/repo", (GLIBC,), None)
    http = ask({"example.org": {**files, "/key": signer.armoured}})
    repository = Repository(rpm="https://example.org/repo", key="https://example.org/key")
    with pytest.raises(AiplatError, match=r"repomd\.xml: is not signed"):
        rpm_index(repository, http, tmp_path)


def test_a_dependency_that_is_not_there_is_named(chosen: Archive) -> None:
    """With the version that is wanted."""
    assert "nothing provides container-selinux >= 4:2.200 needed by k3s-selinux" in refused(chosen, GLIBC)


def test_a_package_of_another_architecture_is_named_as_such(chosen: Archive) -> None:
    """It is there, but not for this host."""
    said = refused(chosen, CONTAINER, Rpm("tool", arch="aarch64"), wanted=("tool",))
    assert "tool is there for aarch64 alone" in said


def test_packages_that_exclude_each_other_are_refused(chosen: Archive) -> None:
    """As rke2's rules exclude those of k3s."""
    rival = Rpm("rke2-selinux", arch="noarch", tags=("Conflicts: k3s-selinux",))
    said = refused(chosen, CONTAINER, rival, wanted=("k3s-selinux", "rke2-selinux"))
    assert "rke2-selinux-1.0-1.el9.noarch conflicts with k3s-selinux" in said


def test_a_key_that_is_none_is_refused(chosen: Archive) -> None:
    """A login page in place of the key is noticed before anything is compared with it."""

    def change(files: dict[str, Any]) -> None:
        files["/pub/rocky/RPM-GPG-KEY-Rocky-9"] = b"<html>Please log in</html>"

    assert "RPM-GPG-KEY-Rocky-9: is not an OpenPGP key" in refused(chosen, CONTAINER, change=change)
