"""Which arguments kubelet and API server know: either one does not start with another."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Literal

from aiplat.errors import Finding
from aiplat.k3s.release import K3sRelease

Program = Literal["kubelet", "kube-apiserver"]


@cache
def _table() -> tuple[tuple[str, str], ...]:
    lines = files(__package__).joinpath("arguments.tsv").read_text().splitlines()
    rows = (line.removeprefix("# ").partition("\t") for line in lines)
    return tuple((name, value) for name, tab, value in rows if tab)


def judged_minor() -> int:
    """Return the minor version of Kubernetes whose arguments are known here."""
    return int(dict(_table())["minor"])


def arguments_of(program: Program) -> frozenset[str]:
    """Return the names of a program's arguments in that minor version."""
    return frozenset(value for name, value in _table() if name == program)


def argument_findings(
    where: str, program: Program, release: K3sRelease, arguments: Iterable[str]
) -> Iterator[Finding]:
    """Yield the arguments, `name=value`, that a program of this release does not know."""
    known = arguments_of(program)
    for number, name in enumerate(argument.partition("=")[0] for argument in arguments):
        if release.minor == judged_minor() and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            problem = (
                f"{name} is not an argument of the {program} of {release}, which would not start with it"
            )
            yield Finding(
                f"{where}[{number}]", problem, f"did you mean {near[0]}?" if near else "leave it out"
            )
