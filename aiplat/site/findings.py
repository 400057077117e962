"""What a finding about a site file looks like, and how values are shown in it; the rules are in aiplat.site.rules."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from aiplat.errors import Finding
from aiplat.site.tokens import looks_secret

Path = tuple[str | int, ...]
"""Where a value is: the keys and list indices that lead to it, outermost first."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/")
_SHOWN_LENGTH = 60


@dataclass(frozen=True)
class SiteFinding(Finding):
    """A finding with its place in the file; lines and columns count from 1, 0 means the whole file."""

    file: str = ""
    path: str = ""
    line: int = 0
    column: int = 0
    rule: str = ""


def render_path(path: Path) -> str:
    """Return a path as people write it: `hosts[0].ssh.port`; keys with other characters are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif set(part) <= _PLAIN and part:
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def shown(value: object) -> str:
    """Return a value fit for a message: quoted, on one line, shortened, and never a secret."""
    if isinstance(value, str):
        if looks_secret(value):
            return "(a secret, not shown)"
        text = value if len(value) <= _SHOWN_LENGTH else value[: _SHOWN_LENGTH - 1] + "…"
        return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    return str(value)


def did_you_mean(word: object, known: Iterable[str], what: str = "known") -> str:
    """Return a hint: the nearest known word, or all of them when none is near."""
    words = sorted(known)
    if isinstance(word, str):
        folded = {w.casefold(): w for w in words}
        near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
        if near:
            return f'did you mean "{folded[near[0]]}"?'
    return f"{what}: {', '.join(words)}" if words else ""
