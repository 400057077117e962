"""The Debian releases that artifacts are made of: their indexes, and the base image all images share."""

from __future__ import annotations

import fcntl
import tarfile
import time
from pathlib import Path

from aiplat.catalog.versions import from_versions_yaml
from aiplat.content import digest_of
from aiplat.supply.apt import Apt, carried_options
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
    apt = Apt(suite, job.cache / "apt" / suite)
    fresh = apt.folder / "fresh"
    with (apt.folder / "held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not fresh.exists() or time.time() - fresh.stat().st_mtime > _INDEX_AGE_SECONDS:
            job.phase("fetch package index", 0, 0)
            apt.update()
            fresh.touch()
    return apt


def base_image(job: Job) -> Path:
    """Return the folder of the image below all others: an OCI layout, and dpkg's list of what is in it."""
    key = digest_of(
        {"base": image_suite(), "revision": _BASE_REVISION, "left out": _LEFT_OUT, "clean": _CLEAN}
    )

    def make(folder: Path) -> None:
        job.phase("make the base image", 0, 0)
        tar = job.work / "base.tar"
        _mmdebstrap(apt_for(job, image_suite()), tar)
        with tarfile.open(tar) as root:
            status = root.extractfile("./var/lib/dpkg/status")
            (folder / "status").write_bytes(status.read() if status else b"")
        write_layout(folder, [add_tar_image(folder, tar, {}, {"Env": [_PATH]})])

    return job.part(key, make)


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
