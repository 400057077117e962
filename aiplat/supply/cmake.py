"""Builds programs with CMake from sdists that a lock pins; where a program goes is the caller's."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from pathlib import Path

from aiplat.catalog.recipes import CMakeProgram
from aiplat.supply.contract import Job
from aiplat.supply.process import run
from aiplat.supply.pypi import fetch_pinned

_STEP = re.compile(r"^\[\s*(\d+)%\]")


def build_cmake(job: Job, recipe: CMakeProgram, target: Path) -> None:
    """Build the recipe's target and copy the program to `target`.

    Raises:
        AiplatError: the sources cannot be had or do not compile.
    """
    sources = _unpacked(job, recipe)
    build = job.work / "cmake-build"
    what = f"{job.artifact.name}: {recipe.target}"
    # Without the map, names of folders on this machine would end up in the program.
    flags = f"-ffile-prefix-map={job.work}=."
    arguments = [f"-D{definition}" for definition in recipe.definitions]
    arguments += ["-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_C_FLAGS={flags}", f"-DCMAKE_CXX_FLAGS={flags}"]
    job.phase("configure", 0, 0)
    run(["cmake", "-S", sources, "-B", build, *arguments], what=what)

    def on_line(line: str) -> bool:
        step = _STEP.match(line)
        if step:
            job.phase("compile", int(step[1]), 100)
        return step is not None

    parallel = str(os.cpu_count() or 1)
    run(
        ["cmake", "--build", build, "--target", recipe.target, "--parallel", parallel],
        what=what,
        on_line=on_line,
    )
    program = next(p for p in build.rglob(recipe.target) if p.is_file() and os.access(p, os.X_OK))
    shutil.copy(program, target)
    run(["strip", target], what=what)
    shutil.rmtree(build)


def _unpacked(job: Job, recipe: CMakeProgram) -> Path:
    archive = fetch_pinned(recipe.sdist, ".tar.gz", job.work, job.phase)
    folder = job.work / "sdist"
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    archive.unlink()
    (top,) = folder.iterdir()
    return top / recipe.folder
