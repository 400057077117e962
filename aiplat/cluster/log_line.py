"""One line of a log: when, where, how serious, what; finds the level in the forms that programs write it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from aiplat.frozen import Frozen

Level = Literal["debug", "info", "warning", "error", "critical"]
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error", "critical")

_LOOKED_AT = 240
_WORDS: dict[str, Level] = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "log": "info",
    "notice": "info",
    "warn": "warning",
    "warning": "warning",
    "err": "error",
    "error": "error",
    "fatal": "critical",
    "critical": "critical",
    "panic": "critical",
}
_KLOG: dict[str, Level] = {"I": "info", "W": "warning", "E": "error", "F": "critical"}
# journald has syslog's numbers.
_PRIORITIES: dict[str, Level] = {
    **dict.fromkeys("012", "critical"),
    **{"3": "error", "4": "warning", "5": "info", "6": "info", "7": "debug"},
}
_FORMS = (
    # logfmt and JSON, klog, then a word in capitals, as Python's logging and PostgreSQL write it.
    re.compile(r"\"?\b(?:level|levelname|severity|lvl)\"?[=:]\s*\"?(?P<word>[A-Za-z]+)"),
    re.compile(r"^(?P<klog>[IWEF])\d{4} \d\d:\d\d"),
    re.compile(
        r"(?:^|[\s\[|])(?P<word>TRACE|DEBUG|INFO|LOG|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL|PANIC)\d?(?=[\s:\]|]|$)"
    ),
    re.compile(r"^\[?(?P<word>debug|info|notice|warn|warning|error|fatal|panic)\]?:"),
)


class LogLine(Frozen):
    """A line; `source` is the pod, or unit and host, that wrote it. Without a known level it is empty."""

    time: datetime
    source: str
    level: Level | Literal[""]
    text: str

    def at_least(self, level: Level) -> bool:
        """Whether it is as serious as `level`; a line that does not say counts as info."""
        return LEVELS.index(self.level or "info") >= LEVELS.index(level)


def level_of(text: str) -> Level | None:
    """Return the level that a line says it has, None where it says none."""
    start = text[:_LOOKED_AT]
    for form in _FORMS:
        if found := form.search(start):
            groups = found.groupdict()
            if klog := groups.get("klog"):
                return _KLOG[klog]
            if level := _WORDS.get(str(groups["word"]).lower()):
                return level
    return None


def level_of_priority(priority: object) -> Level | None:
    """Return the level of journald's PRIORITY."""
    return _PRIORITIES.get(str(priority))
