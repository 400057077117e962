"""What was seen on a host: commands and what they printed, made comparable; what it means is for signals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aiplat.errors import BadInput, Finding
from aiplat.site.yaml_file import read_document

QUOTE_CHARACTERS = 240
LINE_CHARACTERS = 4000

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# What a log writes before a message; the same message must read the same from dmesg, journalctl and syslog.
_STAMP = re.compile(
    r"^\s*(?:<\d>\s*)?"
    r"(?:\[[^\]\n]*\d[.:]\d[^\]\n]*\]:?\s*)?"
    r"(?:\d{4}-\d\d-\d\d[T ][\d:.,+Z-]+\s+|[A-Z][a-z]{2}\s+\d+ [\d:]{8}\s+)?"
    r"(?:(?:\S+ )?(?:kernel|[\w.@-]+\[\d+\]):\s*)?(?:\[\s*\d+\.\d+\]\s*)?(?=\S)"
)
_LOGGED = re.compile(
    r"kernel:|\[\s*\d+\.\d+\]|^\s*\[|^[A-Z][a-z]{2}\s+\d+ \d|^\d{4}-\d\d-\d\d[T ]\d|\w\[\d+\]:"
)
_NVRM = re.compile(r"^\s*NVRM:\s?")
_SENTENCE_BEGINS = re.compile(r"\s*NVRM:\s*(?:Xid|loading|API mismatch|GPU \S+:|No NVIDIA|None of|RmInit)")
_PLAIN = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " ", "\t": "    "}
)


@dataclass(frozen=True)
class Evidence:
    """One passage that speaks for a verdict, its whitespace folded, and the command that printed it."""

    command: str
    quote: str

    def as_json(self) -> dict[str, str]:
        """Return it as part of a JSON document."""
        return {"command": self.command, "quote": self.quote}


@dataclass(frozen=True)
class Fact:
    """What one command printed; `command` is a label for people and may hold a remark in brackets."""

    command: str
    text: str

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """Lines without colours, typographic quotes and a log's time stamps."""
        lines = (line.rstrip() for line in _plain(self.text).splitlines() if line.strip())
        return tuple(part for line in lines for part in _cut(_unstamped(line)))

    @cached_property
    def flow(self) -> str:
        """All lines as one: the kernel module breaks its sentences over several `NVRM:` lines."""
        return re.sub(r"\s+", " ", " ".join(_NVRM.sub("NVRM: ", line) for line in self._joined()))

    def _joined(self) -> list[str]:
        joined: list[str] = []
        previous = False
        for line in self.lines:
            is_nvrm = bool(_NVRM.match(line))
            begins_new = _SENTENCE_BEGINS.match(line)
            joined.append(_NVRM.sub("", line) if is_nvrm and previous and not begins_new else line)
            previous = is_nvrm
        return joined

    def evidence(self, quote: str, at: int = 0) -> Evidence:
        """Return a passage of this fact as evidence, cut to a line's length around the character `at`.

        What matters in a long line may stand at its end: every layer that passes an error on puts its own
        words before it.
        """
        before = re.sub(r"\s+", " ", quote[:at]).lstrip()
        folded = (before + re.sub(r"\s+", " ", quote[at:])).strip()
        if len(folded) <= QUOTE_CHARACTERS:
            return Evidence(self.command, folded)
        width = QUOTE_CHARACTERS - 2
        start = min(max(0, len(before) - width // 2), len(folded) - width)
        head, tail = "…" if start else "", "…" if start + width < len(folded) else ""
        return Evidence(self.command, f"{head}{folded[start : start + width]}{tail}")


def _plain(text: str) -> str:
    return _COLOUR.sub("", text).translate(_PLAIN).replace("#012", "\n").replace("\r", "")


def _unstamped(line: str) -> str:
    return _STAMP.sub("", line, count=1) if _LOGGED.search(line[:100]) else line


def _cut(line: str) -> list[str]:
    # Patterns look back and forth in a line; a line of a megabyte would take them minutes.
    return [line[at : at + LINE_CHARACTERS] for at in range(0, len(line), LINE_CHARACTERS)]


def facts_of(seen: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Return facts from a mapping of commands to outputs; what is not text is written as text."""
    return tuple(Fact(str(command), _text(value)) for command, value in seen.items() if value is not None)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_text(part) for part in value)
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_text(part)}" for name, part in value.items())
    return str(value)


def read_facts(path: Path) -> tuple[Fact, ...]:
    """Read recorded facts: a YAML or JSON file whose `facts` maps commands to outputs; all else is ignored.

    Raises:
        BadInput: it cannot be read, or holds no such mapping.
    """
    data = read_document(path).data
    seen = data.get("facts") if isinstance(data, dict) else None
    if not isinstance(seen, dict):
        problem = "has no mapping `facts` of commands to what they printed"
        raise BadInput(Finding(str(path), problem, 'write for example `facts: {nvidia-smi -L: "GPU 0: …"}`'))
    return facts_of(seen)
