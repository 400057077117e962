"""Puts packages of repositories before libsolv, Debian's too; what is asked of it is in choice."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch

import solv

from aiplat.catalog.artifacts import OsPackage
from aiplat.catalog.os_recipes import BaseSet
from aiplat.errors import AiplatError, Finding
from aiplat.supply.upstream.ospackages.apt_index import DebRecord
from aiplat.supply.upstream.ospackages.deb_versions import ranks
from aiplat.supply.upstream.ospackages.rpm_index import RpmIndex

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_DEPENDENCY = re.compile(r"([a-zA-Z0-9][\w.+-]*)(?::\w+)?\s*(?:\(\s*(<<|<=|=|>=|>>|<|>)\s*([^)\s]+)\s*\))?")
_RELATIONS = {
    "<<": solv.REL_LT,
    "<": solv.REL_LT | solv.REL_EQ,
    "<=": solv.REL_LT | solv.REL_EQ,
    "=": solv.REL_EQ,
    ">=": solv.REL_GT | solv.REL_EQ,
    ">": solv.REL_GT | solv.REL_EQ,
    ">>": solv.REL_GT,
}
Atom = tuple[str, str, str]
"""A name, and a relation to a version, both empty where any will do."""


class Universe:
    """Every package that can be had for one system and architecture, and which of them it has already."""

    def __init__(self, arch: str) -> None:
        self.pool = solv.Pool()
        self.pool.setarch(_MACHINES[arch])
        self.base: tuple[str, ...] = ()
        self.hidden: list[solv.XSolvable] = []
        self._said: dict[int, OsPackage] = {}
        self._versions: dict[str, str] = {}

    def described(self, solvable: solv.XSolvable) -> OsPackage:
        """Return what the lock says of a package."""
        return self._said[solvable.id]

    def readable(self, text: str) -> str:
        """Return one of libsolv's sentences with the versions that people know."""
        return re.sub(r"v\d{7}", lambda match: self._versions.get(match[0], match[0]), text)

    def seal(self) -> None:
        """Take note that no package follows."""
        self.pool.addfileprovides()
        self.pool.createwhatprovides()

    def hide(self, patterns: Sequence[str], branch: str) -> None:
        """Leave out what matches a pattern and is of another branch than this one."""
        for solvable in self.pool.solvables_iter():
            other = not _is_of(self.described(solvable).version, branch)
            if other and any(fnmatch(solvable.name, pattern) for pattern in patterns):
                self.hidden.append(solvable)

    @property
    def blacklist(self) -> list[solv.Job]:
        """What libsolv is told of the packages that are left out."""
        # Locked in the state it has now: not installed.
        how = solv.Job.SOLVER_LOCK | solv.Job.SOLVER_SOLVABLE
        return [self.pool.Job(how, solvable.id) for solvable in self.hidden]

    # rpm
    def add_rpms(self, index: RpmIndex, base: BaseSet) -> None:
        """Add a repository of rpm's form.

        Raises:
            AiplatError: its package list cannot be read, or has checksums of another kind.
        """
        repo = self.pool.add_repo(index.base)
        stream = solv.xfopen(str(index.primary))
        if stream is None or not repo.add_rpmmd(stream, None):
            raise AiplatError(
                Finding(index.base, "its list of packages cannot be read", "try another mirror")
            )
        stream.close()
        for solvable in repo.solvables_iter():
            self._said[solvable.id] = _rpm(solvable, index)
        named = [name for group in base.groups for name in index.groups.get(group, ())]
        self.base = (*self.base, *base.packages, *named)

    # deb
    def add_debs(self, records: Iterable[DebRecord], base: BaseSet, wanted: Sequence[str]) -> None:
        """Add what can matter of repositories of apt's form: base, what is wanted, and all they may need."""
        every = list(records)
        self.base = (*base.packages, *(r.name for r in every if r.priority in base.priorities))
        known = _reachable(every, {*self.base, *wanted})
        atoms = (
            atom for r in known for text in (r.depends, r.provides, r.conflicts) for atom in _atoms(text)
        )
        numbers = ranks([*(r.version for r in known), *(version for _, _, version in atoms if version)])
        encoded = {version: f"v{number:07d}" for version, number in numbers.items()}
        self._versions = {code: version for version, code in reversed(encoded.items())}
        repo = self.pool.add_repo("deb")
        for record in known:
            self._add_deb(repo, record, encoded)

    def _add_deb(self, repo: solv.Repo, record: DebRecord, encoded: dict[str, str]) -> None:
        solvable = repo.add_solvable()
        solvable.name, solvable.evr = record.name, encoded[record.version]
        solvable.arch = "noarch" if record.arch == "all" else _MACHINES[record.arch]
        own = self.pool.Dep(record.name).Rel(solv.REL_EQ, self.pool.Dep(solvable.evr))
        solvable.add_deparray(solv.SOLVABLE_PROVIDES, own)
        for name, relation, version in _atoms(record.provides):
            # Without a version it stands for no version at all, unlike in rpm.
            provided = self._dep((name, relation, version), encoded) if version else self._virtual(name)
            solvable.add_deparray(solv.SOLVABLE_PROVIDES, provided)
        for alternatives in _clauses(record.depends):
            solvable.add_deparray(solv.SOLVABLE_REQUIRES, self._any(alternatives, encoded))
        for atom in _atoms(record.conflicts):
            solvable.add_deparray(solv.SOLVABLE_CONFLICTS, self._dep(atom, encoded))
            if not atom[2]:
                solvable.add_deparray(solv.SOLVABLE_CONFLICTS, self._virtual(atom[0]))
        self._said[solvable.id] = _deb(record)

    def _any(self, alternatives: Sequence[Atom], encoded: dict[str, str]) -> solv.Dep:
        every = [self._dep(atom, encoded) for atom in alternatives]
        every += [self._virtual(name) for name, _, version in alternatives if not version]
        found = every[-1]
        for dep in reversed(every[:-1]):
            found = dep.Rel(solv.REL_OR, found)
        return found

    def _virtual(self, name: str) -> solv.Dep:
        dep: solv.Dep = self.pool.Dep(f"virtual package {name}")
        return dep

    def _dep(self, atom: Atom, encoded: dict[str, str]) -> solv.Dep:
        name, relation, version = atom
        dep = self.pool.Dep(name)
        related: solv.Dep = dep.Rel(_RELATIONS[relation], self.pool.Dep(encoded[version])) if version else dep
        return related


def _is_of(version: str, branch: str) -> bool:
    return version.rpartition(":")[2].startswith((f"{branch}.", f"{branch}-"))


def _rpm(solvable: solv.XSolvable, index: RpmIndex) -> OsPackage:
    checksum = solvable.lookup_checksum(solv.SOLVABLE_CHECKSUM)
    if checksum is None or checksum.typestr() != "sha256":
        kind = checksum.typestr() if checksum else "none"
        problem = f"{solvable.name} has a checksum of the kind {kind}; this version compares sha256"
        raise AiplatError(Finding(index.base, problem, "use another mirror of the repository"))
    base = solvable.lookup_str(solv.SOLVABLE_MEDIABASE) or index.base
    return OsPackage(
        name=solvable.name,
        version=solvable.evr,
        arch=solvable.arch,
        digest=f"sha256:{checksum.hex()}",
        size=solvable.lookup_num(solv.SOLVABLE_DOWNLOADSIZE),
        source=f"{base.rstrip('/')}/{solvable.lookup_location()[0]}",
        signed=index.signed,
    )


def _deb(record: DebRecord) -> OsPackage:
    return OsPackage(
        name=record.name,
        version=record.version,
        arch=record.arch,
        digest=record.digest,
        size=record.size,
        source=record.source,
        signed=record.signed,
    )


def _clauses(text: str) -> Iterator[list[Atom]]:
    """Yield each thing that must be there, as the list of what will do for it."""
    for clause in text.replace("\n", " ").split(","):
        found = [_DEPENDENCY.match(one.strip()) for one in clause.split("|")]
        atoms = [(m[1], m[2] or "", m[3] or "") for m in found if m]
        if atoms:
            yield atoms


def _atoms(text: str) -> Iterator[Atom]:
    for clause in _clauses(text):
        yield from clause


def _reachable(every: Sequence[DebRecord], names: set[str]) -> list[DebRecord]:
    """Return the packages that these names can lead to; a release has sixty thousand, and most do not."""
    by_name: dict[str, list[DebRecord]] = defaultdict(list)
    for record in every:
        for name in {record.name, *(name for name, _, _ in _atoms(record.provides))}:
            by_name[name].append(record)
    found: dict[int, DebRecord] = {}
    pending, seen = list(names), set(names)
    while pending:
        for record in by_name.get(pending.pop(), ()):
            if id(record) not in found:
                found[id(record)] = record
                new = {name for name, _, _ in _atoms(record.depends)} - seen
                seen |= new
                pending += new
    return [record for record in every if id(record) in found]
