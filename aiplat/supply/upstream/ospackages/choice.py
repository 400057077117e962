"""Chooses the packages that a set needs beyond a minimal install, or says why that cannot be."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

import solv

from aiplat.catalog.artifacts import Artifact, OsPackage
from aiplat.catalog.os_recipes import OsPackages, PackageRequest, Repository, repositories_of, system_sources
from aiplat.catalog.versions import from_versions_yaml
from aiplat.errors import AiplatError, Finding
from aiplat.site.systems import SYSTEMS, Arch, OsName
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.ospackages.apt_index import DebRecord, deb_records
from aiplat.supply.upstream.ospackages.rpm_index import rpm_index
from aiplat.supply.upstream.ospackages.universe import Universe

_SEE = "see the package's name in component.yaml, and whether the mirror is complete"


def choose_packages(artifact: Artifact, recipe: OsPackages, http: HttpClient) -> tuple[OsPackage, ...]:
    """Return the packages of an artifact's system and platform, each with version, digest, size and source.

    Indexes are read now; no package is fetched.

    Raises:
        AiplatError: an index is not what it must be, a package is not there, or they do not go together.
    """
    if artifact.os is None:
        raise AiplatError(Finding(artifact.label, "is for no operating system", "write `os` for its hosts"))
    branch = from_versions_yaml(recipe.branch) if recipe.branch else ""
    asked = recipe.families[SYSTEMS[artifact.os].like]
    asked = asked.model_copy(update={"packages": tuple(n.format(branch=branch) for n in asked.packages)})
    with tempfile.TemporaryDirectory() as folder:
        universe = _universe(artifact.os, artifact.arch, asked, http, Path(folder))
    universe.hide(recipe.one_version, branch)
    chosen = _solved(universe, artifact.label, asked.packages)
    _see_one_version(artifact.label, chosen, recipe.one_version)
    return tuple(sorted(chosen, key=lambda package: package.name))


def _universe(system: OsName, arch: Arch, asked: PackageRequest, http: HttpClient, folder: Path) -> Universe:
    base = system_sources()[system].base
    universe = Universe(arch)
    repositories = repositories_of(system, arch, asked)
    for index, repository in enumerate(r for r in repositories if r.rpm):
        (folder / str(index)).mkdir()
        universe.add_rpms(rpm_index(repository, http, folder / str(index)), base)
    debs = [r for r in repositories if r.apt]
    if debs:
        universe.add_debs(_records(debs, arch, http, folder), base, asked.packages)
    universe.seal()
    return universe


def _records(
    repositories: Sequence[Repository], arch: str, http: HttpClient, folder: Path
) -> Iterator[DebRecord]:
    for index, repository in enumerate(repositories):
        (folder / str(index)).mkdir()
        yield from deb_records(repository, arch, http, folder / str(index))


def _solved(universe: Universe, label: str, wanted: Sequence[str]) -> list[OsPackage]:
    """Return what must be installed for `wanted` where the base is installed already."""
    missing = [
        Finding(label, _absent(universe, name), _SEE) for name in wanted if not _is_there(universe, name)
    ]
    if missing:
        raise AiplatError(missing)
    weak = solv.Job.SOLVER_INSTALL | solv.Job.SOLVER_WEAK
    there, _ = _solve(
        universe, [job for name in dict.fromkeys(universe.base) for job in _jobs(universe, name, weak)]
    )
    install = solv.Job.SOLVER_INSTALL
    kept = [universe.pool.Job(install | solv.Job.SOLVER_SOLVABLE, solvable.id) for solvable in there]
    jobs = [job for name in wanted for job in _jobs(universe, name, install)]
    found, problems = _solve(universe, [*kept, *jobs])
    if problems:
        raise AiplatError([Finding(label, problem, _SEE) for problem in dict.fromkeys(problems)])
    base = {solvable.id for solvable in there}
    return [universe.described(solvable) for solvable in found if solvable.id not in base]


def _is_there(universe: Universe, name: str) -> bool:
    hidden = {solvable.id for solvable in universe.hidden}
    selection = universe.pool.select(name, solv.Selection.SELECTION_NAME)
    return any(solvable.id not in hidden for solvable in selection.solvables())


def _absent(universe: Universe, name: str) -> str:
    other = universe.pool.select(name, solv.Selection.SELECTION_NAME | solv.Selection.SELECTION_WITH_BADARCH)
    arches = sorted({solvable.arch for solvable in other.solvables()})
    if arches and not universe.pool.select(name, solv.Selection.SELECTION_NAME).solvables():
        return f"{name} is there for {', '.join(arches)} alone"
    return f"there is no package {name}" + (" of the wanted version" if arches else "")


def _jobs(universe: Universe, name: str, how: int) -> list[solv.Job]:
    jobs: list[solv.Job] = universe.pool.select(name, solv.Selection.SELECTION_NAME).jobs(how)
    return jobs


def _solve(universe: Universe, jobs: list[solv.Job]) -> tuple[list[solv.XSolvable], list[str]]:
    solver = universe.pool.Solver()
    solver.set_flag(solv.Solver.SOLVER_FLAG_IGNORE_RECOMMENDED, 1)
    problems = solver.solve([*universe.blacklist, *jobs])
    said = [_sentence(universe, problem) for problem in problems]
    return list(solver.transaction().newsolvables()), said


def _sentence(universe: Universe, problem: solv.Problem) -> str:
    """Return the reason behind a problem: the rule that no choice could fulfil."""
    return universe.readable(problem.findproblemrule().info().problemstr())


def _see_one_version(label: str, chosen: Sequence[OsPackage], patterns: Sequence[str]) -> None:
    """See that what must have one version has it.

    Raises:
        AiplatError: naming each of the versions.
    """
    versions: dict[str, list[str]] = {}
    for package in chosen:
        if any(fnmatch(package.name, pattern) for pattern in patterns):
            plainly = package.version.rpartition(":")[2].partition("-")[0]
            versions.setdefault(plainly, []).append(package.name)
    if len(versions) > 1:
        told = "; ".join(f"{version}: {', '.join(names)}" for version, names in sorted(versions.items()))
        problem = f"would bring more than one version of what must have the same: {told}"
        raise AiplatError(Finding(label, problem, "use a mirror that has one of them whole"))
