"""Makes host files: programs of ours, the stand-in, Debian packages; installing them is a role's."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from aiplat.catalog.inputs import outputs_in, source_path
from aiplat.catalog.versions import from_versions_yaml
from aiplat.supply.apt import Deb, unpack
from aiplat.supply.contract import Job, Made
from aiplat.supply.debian import fetch
from aiplat.supply.go import build_go, go_environment, go_program
from aiplat.supply.oci import EMPTY, TITLE, VERSION, add_bytes, add_file, add_manifest, write_layout
from aiplat.supply.process import ENDS_WITH_US, run

HOSTFILE = "application/vnd.aiplat.hostfile.v1"


def build_program(job: Job) -> Made:
    """Build a Go program as a host file."""
    program = job.work / job.artifact.name
    build_go(job, program)
    return store_hostfile(job.folder, program, job.artifact.version, "packages")


def build_by_script(job: Job) -> Made:
    """Run the project's own build script on a copy of its sources, so that nothing is written beside them."""
    script = source_path(str(job.recipe.script))
    root = job.work / "sources"
    for source in job.recipe.sources:
        _copy_sources(source_path(source), root / source)
    target = job.work / job.artifact.name
    lines = 0

    def on_line(line: str) -> None:
        nonlocal lines
        lines += bool(line)
        job.phase("build", lines, 0)

    job.phase("build", 0, 0)
    environment = go_environment() | {"GO": str(_mortal(job, str(go_program())))} | _host_packages(job)
    copied = root / str(job.recipe.script)
    program = copied if copied.exists() else script
    run([program, target], what=f"host file {job.artifact.name}", env=environment, on_line=on_line)
    return store_hostfile(job.folder, target, job.artifact.version, "packages")


def _host_packages(job: Job) -> dict[str, str]:
    """Return where the script finds its Debian packages, of the release that lab hosts run."""
    if not job.recipe.debian:
        return {}
    suite = from_versions_yaml("debian.lab_suite")
    unpack(fetch(job, suite, job.recipe.debian, job.work / "debs"), job.work / "debian")
    return {"DEBIAN": str(job.work / "debian")}


def _mortal(job: Job, program: str) -> Path:
    """Return a wrapper of a program that ends it with the script that called it."""
    wrapper = job.work / "wrapper" / Path(program).name
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {" ".join(ENDS_WITH_US)} {shlex.quote(program)} "$@"\n')
    wrapper.chmod(0o700)
    return wrapper


def _copy_sources(source: Path, target: Path) -> None:
    """Copy a source folder without what earlier builds made in it."""
    outputs = {source / name for name in outputs_in(source)}

    def ignored(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder, name) in outputs]

    shutil.copytree(source, target, symlinks=True, ignore=ignored)


def fetch_deb(job: Job) -> Made:
    """Fetch a Debian package of the suite that stands for its version until its own is known."""
    suite = job.artifact.version
    deb = fetch(job, suite, [str(job.recipe.deb)], job.work / "deb")[0]
    return store_hostfile(job.folder, _plainly_named(deb), deb.version, "packages")


def _plainly_named(deb: Deb) -> Path:
    """Give the package file the name under which dpkg and people look for it, without escapes."""
    return deb.path.rename(deb.path.with_name(f"{deb.name}.deb"))


def store_hostfile(folder: Path, path: Path, version: str, supply: str) -> Made:
    """Move one file into the layout `folder` as an OCI artefact."""
    title = path.name
    layer = add_file(folder, path, HOSTFILE) | {"annotations": {TITLE: title}}
    empty = add_bytes(folder, b"{}", EMPTY)
    annotations = {TITLE: title, VERSION: version, "dev.aiplat.supply": supply}
    manifest = add_manifest(folder, empty, [layer], annotations, artifactType=HOSTFILE)
    write_layout(folder, [manifest])
    return Made(manifest["digest"], version=version, file=layer["digest"])
