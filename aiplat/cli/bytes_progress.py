"""Shows how far bytes are, read or written: a bar on a terminal, lines in a log, JSON lines for programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from aiplat.cli.bundle_progress import Rate
from aiplat.cli.ending import print_event
from aiplat.cli.terminal import Console
from aiplat.supply.contract import Phase

_SECONDS_BETWEEN_EVENTS = 1.0
_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def bytes_progress(as_json: bool) -> Iterator[Phase]:
    """Give a listener for phases, with how many bytes of how many are done."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if as_json:
        yield _Now(_SECONDS_BETWEEN_EVENTS, _event)
    elif console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            yield _Bars(progress)
    else:
        yield _Now(_SECONDS_BETWEEN_LINES, lambda *said: console.print(_line(*said), markup=False))


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, phase: str, done: int, total: int) -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase)
        self._progress.update(self._tasks[phase], completed=done, total=total)


class _Now:
    """Says how far a phase is, and how fast, now and then; what takes two seconds alone is not said."""

    def __init__(self, seconds: float, say: Callable[[str, int, int, str], None]) -> None:
        self._seconds, self._say = seconds, say
        self._rates: dict[str, Rate] = {}
        self._next = time.monotonic() + 2

    def __call__(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        pace = self._rates.setdefault(phase, Rate()).saw(done, total)
        self._next = now + self._seconds
        self._say(phase, done, total, pace)


def _event(phase: str, done: int, total: int, _: str) -> None:
    print_event({"event": "progress", "phase": phase, "done": done, "total": total})


def _line(phase: str, done: int, total: int, pace: str) -> str:
    return f"{phase}: {done / 1e6:.0f} of {total / 1e6:.0f} MB{', ' + pace if pace else ''}"
