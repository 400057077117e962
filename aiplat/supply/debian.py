"""The Debian releases that artifacts are made of: their indexes, and the base image all images share."""

from __future__ import annotations

import fcntl
import shutil
import tarfile
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from aiplat.catalog.artifacts import Digest
from aiplat.catalog.versions import from_versions_yaml
from aiplat.content import digest_of
from aiplat.supply.apt import Apt, Deb, carried_options
from aiplat.supply.contract import Job
from aiplat.supply.oci import add_tar_image, write_layout
from aiplat.supply.process import run

_INDEX_AGE_SECONDS = 6 * 3600
_BASE_REVISION = 2

# A container needs no manuals; Debian's licences stay, as the packages' own terms want.
_LEFT_OUT = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)
# Names of the machine that built it and of its mirror have no place in an image.
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_UNWANTED = ("etc/hostname", "etc/resolv.conf", "etc/apt/sources.list*", "var/cache/ldconfig", "var/log/*")
_CLEAN = " ".join(["rm -rf", *(f'"$1"/{path}' for path in _UNWANTED)])


def image_suite() -> str:
    """Return the Debian release that images are made of."""
    return from_versions_yaml("debian.image_suite")


def apt_for(job: Job, suite: str) -> Apt:
    """Return a release's packages, with an index not older than a few hours."""
    return _apt(job.cache, suite, _INDEX_AGE_SECONDS, lambda: job.phase("fetch package index", 0, 0))


def newest(cache: Path, suite: str, packages: Collection[str]) -> dict[str, str]:
    """Return the version of each package that a release has now.

    Raises:
        AiplatError: its index cannot be had.
    """
    return _apt(cache, suite, 0, lambda: None).newest(packages)


def _apt(cache: Path, suite: str, age: float, on_update: Callable[[], None]) -> Apt:
    """Return a release's packages, with an index not older than `age` seconds."""
    apt = Apt(suite, cache / "apt" / suite)
    fresh = apt.folder / "fresh"
    with (apt.folder / "held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not fresh.exists() or time.time() - fresh.stat().st_mtime > age:
            on_update()
            apt.update()
            fresh.touch()
    return apt


def fetch(job: Job, suite: str, packages: Iterable[str], into: Path) -> list[Deb]:
    """Fetch packages of a release without what they depend on, and note that they were taken."""
    return _noted(job, suite, apt_for(job, suite).download(packages, into))


def fetch_onto_base(job: Job, packages: Iterable[str], into: Path) -> list[Deb]:
    """Fetch packages with what they need beyond the base image, and note that they were taken."""
    suite, status = image_suite(), job.work / "status"
    # apt locks what lies beside it, and other images are built at the same time.
    shutil.copyfile(base_image(job) / "status", status)
    return _noted(job, suite, apt_for(job, suite).download_with_dependencies(packages, into, status))


def _noted(job: Job, suite: str, debs: list[Deb]) -> list[Deb]:
    job.taken.update({f"{suite}/{deb.name}": deb.version for deb in debs})
    return debs


def base_key() -> Digest:
    """Return under which key the cache has the base image."""
    return digest_of(
        {"base": image_suite(), "revision": _BASE_REVISION, "left out": _LEFT_OUT, "clean": _CLEAN}
    )


def base_image(job: Job) -> Path:
    """Return the folder of the image below all others: an OCI layout, and dpkg's list of what is in it."""

    def make(folder: Path) -> None:
        job.phase("make the base image", 0, 0)
        tar = job.work / "base.tar"
        _mmdebstrap(apt_for(job, image_suite()), tar)
        with tarfile.open(tar) as root:
            status = root.extractfile("./var/lib/dpkg/status")
            (folder / "status").write_bytes(status.read() if status else b"")
        write_layout(folder, [add_tar_image(folder, tar, {}, {"Env": [_PATH]})])

    folder = job.part(base_key(), make)
    job.taken.update(_listed(folder / "status"))
    return folder


def _listed(status: Path) -> dict[str, str]:
    """Return what dpkg's list says is installed, as it is noted for an artifact."""
    paragraphs = (
        dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and line[0] != " ")
        for text in status.read_text().split("\n\n")
    )
    return {f"{image_suite()}/{p['Package']}": p["Version"] for p in paragraphs if "Version" in p}


def _mmdebstrap(apt: Apt, target: Path) -> None:
    options = [f"--dpkgopt={option}" for option in _LEFT_OUT]
    options += [f'--aptopt={key} "{value}"' for key, value in carried_options().items()]
    argv = [
        "mmdebstrap",
        "--variant=minbase",
        "--architectures=amd64",
        *options,
        f"--customize-hook={_CLEAN}",
        apt.suite,
        target,
        apt.sources_list,
    ]
    run(argv, what=f"base image of Debian {apt.suite}", env={"SOURCE_DATE_EPOCH": "0", "LC_ALL": "C"})
