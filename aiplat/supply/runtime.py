"""aiplat with all it runs on, as an OCI artefact: wheels under their names, and what pip is to install."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiplat.catalog.inputs import source_path
from aiplat.catalog.recipes import PythonRuntime
from aiplat.content import sha256_file
from aiplat.supply.contract import Job, Made, Phase
from aiplat.supply.oci import EMPTY, TITLE, VERSION, add_bytes, add_file, add_manifest, write_layout
from aiplat.supply.own_wheel import make_own_wheel
from aiplat.supply.pypi import IndexFile, bring, listed
from aiplat.supply.python_wheels import Pinned, chosen, pinned_in, targets_of
from aiplat.supply.upstream.http import HttpClient

RUNTIME = "application/vnd.aiplat.runtime.v1"
PYTHONS = "dev.aiplat.pythons"
"""The annotation that names the Pythons it is for, with commas between."""
REQUIREMENTS = "requirements.txt"
"""The layer with what pip is to install, each with its hashes."""


def build_runtime(job: Job) -> Made:
    """Make the runtime from the package index that pip and uv use."""
    if job.recipe.runtime is None:
        raise TypeError("not a recipe of a runtime")
    http = HttpClient()
    try:
        return RuntimeMaker(job.recipe.runtime, http, job.work, job.phase).store(job.folder)
    finally:
        http.close()


@dataclass(frozen=True)
class RuntimeMaker:
    """Makes one runtime in `work`, a folder that goes away afterwards."""

    runtime: PythonRuntime
    http: HttpClient
    work: Path
    told: Phase

    def wanted(self) -> list[IndexFile]:
        """Return the wheels of the lock; none is fetched.

        Raises:
            AiplatError: the index lacks one.
        """
        targets, packages = targets_of(self.runtime), self._packages()
        found: list[IndexFile] = []
        for number, package in enumerate(packages):
            self.told("look for wheels", number, len(packages))
            found += chosen(package, listed(package.requirement.name, self.http), targets)
        return found

    def store(self, folder: Path, files: list[IndexFile] | None = None) -> Made:
        """Fetch the wheels, add aiplat's own, and store all in `folder`, an empty OCI layout.

        `files` are the wheels if the index was asked already.

        Raises:
            AiplatError: a wheel cannot be had or is another, or aiplat's own cannot be built.
        """
        wheels = self.work / "wheels"
        wheels.mkdir()
        files = self.wanted() if files is None else files
        self._fetch(files, wheels)
        self.told("build aiplat's wheel", 0, 0)
        own = make_own_wheel(self.work)
        version = own.name.split("-")[1]
        lines = [
            *self._lines({file.digest for file in files}),
            f"aiplat=={version} --hash={sha256_file(own)}",
        ]
        own.rename(wheels / own.name)
        (wheels / REQUIREMENTS).write_text("\n".join([*lines, ""]))
        layers = [
            add_file(folder, path, RUNTIME) | {"annotations": {TITLE: path.name}}
            for path in sorted(wheels.iterdir())
        ]
        annotations = {TITLE: "aiplat", VERSION: version, PYTHONS: ",".join(self.runtime.pythons)}
        empty = add_bytes(folder, b"{}", EMPTY)
        manifest = add_manifest(folder, empty, layers, annotations, artifactType=RUNTIME)
        write_layout(folder, [manifest])
        return Made(manifest["digest"])

    def _packages(self) -> list[Pinned]:
        return pinned_in(source_path(self.runtime.requirements).read_text())

    def _fetch(self, files: list[IndexFile], wheels: Path) -> None:
        done, total = 0, sum(file.size for file in files)
        for file in files:
            self.told("download wheels", done, total)
            bring(file, wheels, self.http)
            done += file.size

    def _lines(self, there: set[str]) -> list[str]:
        """Return the lock's lines with the hashes of the wheels that are there alone."""
        hashes = [(package.requirement, sorted(package.digests & there)) for package in self._packages()]
        return [" ".join([str(what), *(f"--hash={one}" for one in those)]) for what, those in hashes if those]
