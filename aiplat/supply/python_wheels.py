"""Which wheels of a lock a Python on a machine installs; fetching them is aiplat.supply.runtime's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from aiplat.catalog.artifacts import Digest
from aiplat.catalog.recipes import PythonRuntime
from aiplat.errors import AiplatError, Finding
from aiplat.supply.pypi import IndexFile

# PEP 599 and 571 named what PEP 600 writes as manylinux_2_17 and 2_12; wheels still carry the old names.
_OLD_NAMES = ((17, "manylinux2014"), (12, "manylinux2010"), (5, "manylinux1"))
_OLDEST_GLIBC = 5


@dataclass(frozen=True)
class Pinned:
    """One package of a lock: what is wanted, where, and the digests it may have."""

    requirement: Requirement
    digests: frozenset[Digest]


@dataclass(frozen=True)
class PythonTarget:
    """A CPython (`3.12`) on a machine (`x86_64`, as `uname -m` says it) with Linux and a C library."""

    python: str
    machine: str
    glibc: str

    @property
    def environment(self) -> dict[str, str]:
        """What a requirement's marker is evaluated in (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    @property
    def tags(self) -> list[Tag]:
        """The wheel tags it can install, the best first."""
        version = [int(part) for part in self.python.split(".")]
        interpreter = f"cp{self.python.replace('.', '')}"
        platforms = list(_platforms(self.machine, int(self.glibc.partition(".")[2])))
        return [
            *cpython_tags(version, platforms=platforms),
            *compatible_tags(version, interpreter=interpreter, platforms=platforms),
        ]

    def __str__(self) -> str:
        """Render for people."""
        return f"Python {self.python} on {self.machine}"


def targets_of(runtime: PythonRuntime) -> list[PythonTarget]:
    """Return every Python on every machine that a runtime is for."""
    pairs = product(runtime.pythons, runtime.machines)
    return [PythonTarget(python, machine, runtime.glibc) for python, machine in pairs]


def pinned_in(lock: str) -> list[Pinned]:
    """Return what the text of a lock with hashes pins, in its order."""
    entries = re.findall(r"^([A-Za-z0-9][^\\\n]*)((?:\\?\n[ \t]+\S[^\n]*)*)", lock, re.MULTILINE)
    return [
        Pinned(Requirement(what.strip()), frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", hashes)))
        for what, hashes in entries
    ]


def chosen(package: Pinned, files: Iterable[IndexFile], targets: Sequence[PythonTarget]) -> list[IndexFile]:
    """Return the best wheel of a package for each target that wants it, every one once.

    Raises:
        AiplatError: there is none for a target.
    """
    wheels = [(file, tags) for file in files if file.digest in package.digests and (tags := _tags_of(file))]
    found: dict[str, IndexFile] = {}
    for target in targets:
        if package.requirement.marker and not package.requirement.marker.evaluate(target.environment):
            continue
        rank = {tag: place for place, tag in reversed(list(enumerate(target.tags)))}
        fitting = [
            (min(rank[t] for t in tags if t in rank), file.name, file)
            for file, tags in wheels
            if tags & rank.keys()
        ]
        if not fitting:
            problem = f"has no wheel of {package.requirement} for {target}"
            raise AiplatError(Finding("the package index", problem, "use an index that has it"))
        best = min(fitting)[2]
        found[best.name] = best
    return list(found.values())


def _tags_of(file: IndexFile) -> frozenset[Tag]:
    try:
        return parse_wheel_filename(file.name)[3]
    except InvalidWheelFilename:
        return frozenset()


def _platforms(machine: str, glibc: int) -> Iterator[str]:
    for minor in range(glibc, _OLDEST_GLIBC - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        yield from (f"{name}_{machine}" for since, name in _OLD_NAMES if since == minor)
    yield f"linux_{machine}"
