"""Shows how a bundle comes about: bars on a terminal, lines in a log, JSON lines for programs."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from aiplat.bundle.build import ADD
from aiplat.catalog.artifacts import Artifact
from aiplat.cli.terminal import Console
from aiplat.supply.contract import DONE, SupplyProgress
from aiplat.supply.upstream.downloads import FETCH

_SECONDS_BETWEEN_EVENTS = 1.0
_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def bundle_progress(as_json: bool, total: int) -> Iterator[SupplyProgress]:
    """Give a listener for the making of `total` artifacts, fitting where the output goes."""
    console = Console(stderr=True, highlight=False)
    if as_json:
        yield _JsonLines()
    elif console.is_terminal:
        with _bars(console) as progress:
            yield _Bars(progress, total)
    else:
        lines = ArtifactLines(lambda line: console.print(line, markup=False, soft_wrap=True))
        yield lambda artifact, phase, done, of: lines.tell(artifact.label, phase, done, of)


def _bars(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[far]}", markup=False),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console, transient=True)


def short(label: str) -> str:
    """Return an artifact's label without the registry and folders of its name, for narrow columns."""
    kind, space, name = label.partition(" ")
    return kind + space + name.rpartition("/")[2]


def _far(phase: str, done: int, total: int) -> str:
    """Say how far a phase is: counts in its own unit, megabytes where it moves bytes."""
    if not total:
        return f"{phase} {done}" if done else phase
    if "bytes" in phase:
        return f"{phase} {done / 1e6:.0f} of {total / 1e6:.0f} MB"
    return f"{phase} {done} of {total}"


class Rate:
    """How fast bytes come, over the last seconds, and how long the rest takes at that pace."""

    SECONDS = 10.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def saw(self, done: int, total: int) -> str:
        """Take note of how many bytes are there; return `8.1 MB/s, 35 s left`, empty while nobody knows."""
        now = self._clock()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, done))
        while now - self._seen[0][0] > self.SECONDS:
            self._seen.popleft()
        began, first = self._seen[0]
        if now - began < 1 or done == first:
            return ""
        pace = (done - first) / (now - began)
        return f"{pace / 1e6:.1f} MB/s, {max(0, total - done) / pace:.0f} s left"


class _Bars:
    """One bar for the whole and one for each artifact that is being made."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._whole = progress.add_task("bundle", total=total, far=f"0 of {total} artifacts")
        self._tasks: dict[str, TaskID] = {}
        self._rates: dict[str, Rate] = {}
        self._done: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, artifact: Artifact, phase: str, done: int, total: int) -> None:
        with self._lock:
            if phase == DONE:
                self._finish(artifact)
                return
            task = self._tasks.get(artifact.inputs)
            if task is None:
                task = self._tasks[artifact.inputs] = self._progress.add_task(short(artifact.label), far="")
            far = _far(phase, done, total)
            if phase == FETCH and total:
                pace = self._rates.setdefault(artifact.key, Rate()).saw(done, total)
                far = f"{far}, {pace}" if pace else far
            self._progress.update(task, completed=done, total=total or None, far=far)

    def _finish(self, artifact: Artifact) -> None:
        task = self._tasks.pop(artifact.inputs, None)
        if task is not None:
            self._progress.remove_task(task)
        self._done.add(artifact.inputs)
        far = f"{len(self._done)} of {self._total} artifacts"
        self._progress.update(self._whole, completed=len(self._done), far=far)


class ArtifactLines:
    """One line when an artifact enters a phase and one, with its seconds, when it is done.

    What was made before is silent. A phase is said once, also where phases come again; where bytes come, how
    far they are is said now and then.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: dict[str, set[str]] = {}
        self._began: dict[str, float] = {}
        self._rates: dict[str, Rate] = {}
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    def tell(self, label: str, phase: str, done: int, total: int) -> None:
        """Take note of an artifact's phase; may be called from more than one thread."""
        with self._lock:
            if phase == DONE:
                self._finish(label, done)
            elif phase != ADD and phase not in self._said.setdefault(label, set()):
                self._said[label].add(phase)
                self._began.setdefault(label, time.monotonic())
                self._say(f"{label}: {_far(phase, done, total)}")
            elif phase == FETCH and total:
                self._tell_pace(label, done, total)

    def _tell_pace(self, label: str, done: int, total: int) -> None:
        pace = self._rates.setdefault(label, Rate()).saw(done, total)
        now = time.monotonic()
        if pace and now - self._told.setdefault(label, now) >= _SECONDS_BETWEEN_LINES:
            self._told[label] = now
            self._say(f"{label}: {_far(FETCH, done, total)}, {pace}")

    def _finish(self, label: str, size: int) -> None:
        began = self._began.pop(label, None)
        if began is not None:
            # Whoever only asked what there is has no bytes to speak of.
            brought = f" ({size / 1e6:.1f} MB)" if size else ""
            self._say(f"{label}: done in {time.monotonic() - began:.0f} s{brought}")


class _JsonLines:
    """Every change of phase, and at most one event a second and artifact in between."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def __call__(self, artifact: Artifact, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        with self._lock:
            before, then = self._last.get(artifact.inputs, ("", 0.0))
            if phase == before and now - then < _SECONDS_BETWEEN_EVENTS:
                return
            self._last[artifact.inputs] = (phase, now)
            event = {"event": "progress", "artifact": artifact.ref, "kind": artifact.kind, "phase": phase}
            typer.echo(json.dumps({**event, "done": done, "total": total}))
