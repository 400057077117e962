"""What the house tests look at: the files of the repository and the functions in them; judges nothing."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def tracked() -> tuple[str, ...]:
    """Return the paths of all files that git has and that still exist, from the root of the repository."""
    listing = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return tuple(sorted(n for n in names if n and (ROOT / n).is_file()))


def files(*patterns: str) -> list[str]:
    """Return the tracked files that match one of the patterns; `*` matches slashes too."""
    return [name for name in tracked() if any(fnmatch(name, pattern) for pattern in patterns)]


@cache
def text(name: str) -> str:
    """Return a tracked file's text; nothing for a file that is not a UTF-8 text."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def lines(name: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line."""
    yield from enumerate(text(name).splitlines(), start=1)


@dataclass(frozen=True)
class Function:
    """A Python function, with its length in lines."""

    file: str
    name: str
    line: int
    length: int


@cache
def functions() -> tuple[Function, ...]:
    """Return every function in the repository's Python files, those inside others too."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return tuple(
        Function(name, node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1)
        for name in files("*.py")
        for node in ast.walk(ast.parse(text(name), name))
        if isinstance(node, kinds)
    )
