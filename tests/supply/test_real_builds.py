"""Small artifacts really built from Debian packages: the same each time, and enough for hosts."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.resolve import resolve
from aiplat.catalog.versions import from_versions_yaml
from aiplat.shipped import shipped
from aiplat.site.load import load_site
from aiplat.supply.apt import Apt
from aiplat.supply.cache import Cache
from aiplat.supply.oci import blob_path, read_json
from aiplat.supply.packages import PackagesSupply
from tests.supply.worlds import silent

pytestmark = pytest.mark.lab

PAUSE = "docker.io/rancher/mirrored-pause"
BUSYBOX = "docker.io/rancher/mirrored-library-busybox"


@pytest.fixture
def wanted() -> Lock:
    """Return what the built-in lab resolves to."""
    return resolve(load_site(shipped("inventory/lab/site.yaml")))


@pytest.mark.parametrize("name", [PAUSE, BUSYBOX], ids=["of-files", "by-running-a-program"])
def test_an_image_comes_out_the_same_twice(tmp_path: Path, wanted: Lock, name: str) -> None:
    """Two caches that know nothing of each other, two umasks; no mount and no half image is left behind."""
    image, before = wanted.artifact("image", name), os.umask(0o022)
    built = []
    for umask in (0o022, 0o077):
        os.umask(umask)
        built.append(PackagesSupply(wanted, Cache(tmp_path / oct(umask))).supply(image, silent))
    os.umask(before)
    assert built[0].artifact.digest
    assert built[0].artifact == built[1].artifact
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_an_image_says_what_it_is_made_of(tmp_path: Path, wanted: Lock) -> None:
    """Its tag is what k3s looks for; the label has the true version, which is Debian's."""
    pause = wanted.artifact("image", PAUSE)
    supplied = PackagesSupply(wanted, Cache(tmp_path)).supply(pause, silent)
    manifest = read_json(supplied.folder, str(supplied.artifact.digest))
    config = read_json(supplied.folder, manifest["config"]["digest"])
    labels = config["config"]["Labels"]
    assert labels["dev.aiplat.supply"] == "packages"
    assert labels["org.opencontainers.image.version"] != pause.version
    assert (config["config"]["User"], config["created"]) == ("65535:65535", "1970-01-01T00:00:00Z")
    with tarfile.open(blob_path(supplied.folder, manifest["layers"][0]["digest"])) as layer:
        assert [m.name for m in layer if m.isfile()] == ["pause"]


def test_a_package_has_its_own_version_once_it_was_fetched(tmp_path: Path, wanted: Lock) -> None:
    """The suite stands in the lock before, the exact version after."""
    nftables = wanted.artifact("hostfile", "nftables")
    supplied = PackagesSupply(wanted, Cache(tmp_path)).supply(nftables, silent).artifact
    assert (nftables.version, supplied.version[0].isdigit()) == (from_versions_yaml("debian.lab_suite"), True)


def test_a_package_that_was_just_fetched_is_the_newest(tmp_path: Path, wanted: Lock) -> None:
    """Apt says of the version that a download brought that it is what a download would bring."""
    made = PackagesSupply(wanted, Cache(tmp_path))
    nftables = made.supply(wanted.artifact("hostfile", "nftables"), silent).artifact
    suite = from_versions_yaml("debian.lab_suite")
    assert nftables.taken == {f"{suite}/nftables": nftables.version}
    assert made.refresh(wanted.artifacts) == []
    assert made.cache.find(nftables)


def test_a_lab_host_lacks_exactly_the_host_packages(tmp_path: Path, wanted: Lock) -> None:
    """All that nftables needs beyond a lab host is in the bundle, and no more."""
    apt = Apt(from_versions_yaml("debian.lab_suite"), tmp_path / "apt")
    apt.update()
    listed = (
        line.partition("#")[0].strip() for line in shipped("lab/host/packages.txt").read_text().splitlines()
    )
    own = ["?essential", "apt", *filter(None, listed)]
    lacking = _installed(apt, [*own, "nftables"]) - _installed(apt, own)
    assert lacking == {a.name for a in _debs(wanted)}


def _installed(apt: Apt, packages: Iterable[str]) -> set[str]:
    lines = apt._apt("apt-get", "-s", "install", *packages, what="what a host has")
    return {m[1] for line in lines if (m := re.match(r"Inst (\S+)", line))}


def _debs(wanted: Lock) -> list[Artifact]:
    catalog = load_catalog()
    hostfiles = ((a, catalog.recipe("hostfile", a.name)[1].packages) for a in wanted.of("hostfile"))
    return [artifact for artifact, recipe in hostfiles if recipe and recipe.deb]
