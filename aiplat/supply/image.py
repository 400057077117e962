"""Builds container images from Containerfiles with buildah; what is in them is the component's business."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

from aiplat.catalog.artifacts import Digest
from aiplat.supply.apt import Deb, unpack
from aiplat.supply.cmake import build_cmake
from aiplat.supply.contract import Job, Made
from aiplat.supply.debian import base_image, fetch, fetch_onto_base, image_suite
from aiplat.supply.go import build_go
from aiplat.supply.oci import VERSION
from aiplat.supply.slim import slim_down
from aiplat.supply.sources import copy_sources
from aiplat.supply.storage import Storage
from aiplat.supply.wheels import install_wheels

# Of itself buildah wants 1048576 of both in Debian 13, and in 12 it has no more than 32768 processes to give.
_MOST = {"nofile": (resource.RLIMIT_NOFILE, 1048576), "nproc": (resource.RLIMIT_NPROC, 32768)}


def build_image(job: Job) -> Made:
    """Fill the build context, build the Containerfile and leave the image in the job's folder.

    Files and the image itself carry the epoch as their time, so that the same inputs give the same digest.

    Raises:
        AiplatError: a part of it cannot be had, or the build fails.
    """
    context = job.work / "context"
    context.mkdir()
    debs = _fill(job, context)
    labels = {
        "dev.aiplat.supply": "packages",
        "dev.aiplat.component": job.component.name,
        VERSION: _true_version(job, debs),
    }
    job.phase("build the image", 0, 0)
    return Made(manifest=_buildah(job, context, labels))


def _fill(job: Job, context: Path) -> list[Deb]:
    """Lay out what the Containerfile copies, and return the Debian packages among it."""
    recipe = job.recipe
    debs: list[Deb] = []
    if recipe.go:
        (context / "go").mkdir()
        build_go(job, context / "go" / Path(str(recipe.package)).name)
    if recipe.cmake:
        (context / "cmake").mkdir()
        build_cmake(job, recipe.cmake, context / "cmake" / recipe.cmake.target)
    if recipe.debian:
        debs += fetch(job, image_suite(), recipe.debian, job.work / "debian")
        unpack(debs, context / "debian")
    if recipe.debian_install:
        job.phase("fetch Debian packages", 0, 0)
        debs += fetch_onto_base(job, recipe.debian_install, context / "packages")
    if recipe.requirements:
        job.phase("fetch Python wheels", 0, 0)
        install_wheels(recipe.requirements, str(recipe.python), context / "site-packages")
    if recipe.slim:
        job.phase("leave out what is not loaded", 0, 0)
        slim_down(context / "site-packages", recipe.slim, job.work)
    if recipe.files:
        shutil.copytree(job.component.folder / recipe.files, context / "files")
    copy_sources(recipe.sources, context / "sources")
    _plain_modes(context)
    return debs


def _plain_modes(context: Path) -> None:
    """Give what we laid out ourselves the modes that it has for everybody: a checkout has its owner's umask.

    What tools laid out has them already, and packages' own modes mean something.
    """
    ours = [path for name in ("files", "sources") for path in (context / name).rglob("*")]
    for path in (context, *context.iterdir(), *ours):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _true_version(job: Job, debs: list[Deb]) -> str:
    """Return the version of what is really inside, which a tag under another project's name may not be."""
    wanted = job.recipe.true_version
    if wanted is None:
        return job.artifact.version.removeprefix("v")
    return next(deb.version for deb in debs if deb.name == wanted.package)


def _buildah(job: Job, context: Path, labels: dict[str, str]) -> Digest:
    name = f"localhost/aiplat-build:{job.artifact.inputs.removeprefix('sha256:')[:32]}"
    options = ["--isolation", "chroot", "--network", "host", "--format", "oci", "--timestamp", "0"]
    options += ["--layers=false", "--identity-label=false", "--pull=never", "--tag", name]
    options += [part for key, value in sorted(labels.items()) for part in ("--label", f"{key}={value}")]
    options += _limits()
    storage = Storage(job.cache / "buildah")
    containerfile = job.component.folder / str(job.recipe.containerfile)
    digest_file = job.work / "digest"
    push = ["push", "--quiet", "--format", "oci", "--digestfile", digest_file, name]
    with storage.used():
        if job.recipe.base:
            options += ["--build-arg", f"BASE={storage.load(base_image(job))}"]
        storage.buildah("bud", *options, "--file", containerfile, context)
        storage.buildah(*push, f"oci:{job.folder}:{job.artifact.version.replace('+', '_')}")
        storage.buildah("rmi", "--force", name)
    return digest_file.read_text().strip()


def _limits() -> list[str]:
    """Return options by which a build runs under limits that this process may give.

    Not every root user may raise them, and a limit without an end has no number that every buildah reads.
    """
    options: list[str] = []
    for name, (which, most) in _MOST.items():
        given = [
            most if limit == resource.RLIM_INFINITY else min(limit, most)
            for limit in resource.getrlimit(which)
        ]
        options += ["--ulimit", f"{name}={given[0]}:{given[1]}"]
    return options
