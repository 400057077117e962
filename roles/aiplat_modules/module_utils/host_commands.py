"""How a reset looks: one kind of remains, and commands whose failure is seen by looking again."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 120


@dataclass(frozen=True)
class Kind:
    """One kind of remains: what it is called, how it is found and how what was found is removed."""

    name: str
    find: Callable[[], list[str]]
    remove: Callable[[list[str]], None]


def text_of(*argv: str, stdin: str | None = None) -> str:
    """Return what a command prints; nothing where it is missing or fails."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def attempt(*argv: str, stdin: str | None = None) -> None:
    """Run a command whose success is seen by looking again afterwards."""
    text_of(*argv, stdin=stdin)


def json_of(*argv: str) -> Any:
    """Return what a command prints as JSON; an empty list where it prints nothing."""
    text = text_of(*argv)
    return json.loads(text) if text.strip() else []


def read(path: Path) -> str:
    """Return a file's text, or nothing where it is gone."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def programs(name: str, k3s: Sequence[str]) -> list[str]:
    """Return every program of a name: the one on PATH, and those that k3s unpacked below its data folders.

    Its iptables and ipset are nowhere else on a host that has none of its own.
    """
    found = {shutil.which(name): None} if shutil.which(name) else {}
    patterns = (f"data/*/bin/aux/{name}", f"data/*/bin/{name}")
    for path in (
        path for folder in k3s for pattern in patterns for path in sorted(Path(folder).glob(pattern))
    ):
        # `current`, `previous` and `cni` are links to folders that are seen anyway.
        if path.exists():
            found[str(path.parent.resolve() / name)] = None
    return [program for program in found if program]
