"""What a finding about a site file looks like and how it shows values; the rules are in aiplat.site.rules."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace

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

    def by(self, rule: str) -> SiteFinding:
        """Return the finding as one of the named rule."""
        return replace(self, rule=rule)

    def as_json(self) -> dict[str, str | int]:
        """Return the finding for programs: its parts, and `message` as people read it."""
        return {**{k: v for k, v in vars(self).items() if k != "where"}, "message": str(self)}


def finding_at(
    file: str, line: int = 0, column: int = 0, said: tuple[str, str] = ("", ""), path: str = ""
) -> SiteFinding:
    """Return a finding that says `said` (problem, fix) at a place.

    Its `where` is written as editors understand it, `file:line:column: path`, without what is 0 or empty.
    """
    numbers = "".join(f":{n}" for n in (line, column) if n)
    where = f"{file}{numbers}" + (f": {path}" if path else "")
    return SiteFinding(where, *said, file=file, path=path, line=line, column=column)


def render_path(path: Path) -> str:
    """Return a path as people write it: `hosts[0].ssh.port`; keys with other characters are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part and set(part) <= _PLAIN and not looks_secret(part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def shown(value: object) -> str:
    """Return a value fit for a message: quoted, on one line, shortened, and never a secret."""
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "a list"
    words = {dict: "a map", type(None): "nothing"}
    return words.get(type(value), str(value))


def _quoted(text: str) -> str:
    if looks_secret(text):
        return "(a secret, not shown)"
    short = text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"
    printable = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in short)
    return f'"{printable}"'


def did_you_mean(word: object, known: Iterable[str], what: str = "known") -> str:
    """Return a hint: the nearest known word, or all of them when none is near."""
    words = sorted(known)
    if isinstance(word, str):
        folded = {w.casefold(): w for w in words}
        near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
        if near:
            return f'did you mean "{folded[near[0]]}"?'
    return f"{what}: {', '.join(words)}" if words else ""
