"""Shows a run while it goes: bars on a terminal, lines in a log, JSON lines for programs; no tables here."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import typer
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.prompt import Confirm

from aiplat.actions.plan import PlanView
from aiplat.cli import lab_progress
from aiplat.cli.bundle_progress import ArtifactLines, short
from aiplat.cli.run_tables import plan_table, size
from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, Finding
from aiplat.lab import LabEvent, OnEvent
from aiplat.runs.events import (
    Event,
    RunStarted,
    StepFailed,
    StepFinished,
    StepStarted,
    TaskDone,
)
from aiplat.runs.events import Progress as ProgressEvent


class Watch(ABC):
    """Watches a run for somebody: how it looks is the subclasses' matter."""

    def __init__(self, *, yes: bool, on_lab: OnEvent) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.view: PlanView | None = None
        self._yes = yes
        self._on_lab = on_lab

    @abstractmethod
    def on_event(self, event: Event) -> None:
        """See an event of the run."""

    def on_lab(self, event: LabEvent) -> None:
        """See an event of making the lab."""
        self._on_lab(event)

    def agree(self, view: PlanView) -> bool:
        """Show the plan and ask, unless the answer was given on the command line.

        Raises:
            BadInput: nobody is there to be asked.
        """
        self.view = view
        self.show_plan(view)
        if self._yes:
            return True
        if not sys.stdin.isatty():
            problem = "standard input is not a terminal, so nobody can agree to the plan"
            raise BadInput(Finding("aiplat", problem, "look at `aiplat plan`, then add --yes"))
        return Confirm.ask("Carry this out?", console=self.console, default=False)

    def show_plan(self, view: PlanView) -> None:
        """Show the plan before anything is done."""
        self.console.print(plan_table(view))


class JsonWatch(Watch):
    """Every event as one JSON line on standard output."""

    def on_event(self, event: Event) -> None:
        """Print the event."""
        typer.echo(event.model_dump_json(exclude_defaults=False))

    def show_plan(self, view: PlanView) -> None:
        """Show nothing: the plan was an event."""


class LineWatch(Watch):
    """A line when something begins, ends or fails, for logs."""

    def __init__(self, *, yes: bool, on_lab: OnEvent) -> None:
        super().__init__(yes=yes, on_lab=on_lab)
        self._artifacts = ArtifactLines(self._say)

    def on_event(self, event: Event) -> None:
        """Print a line if the event is worth one."""
        if isinstance(event, ProgressEvent) and event.unit == "artifact":
            label, _, phase = event.what.partition(": ")
            self._artifacts.tell(label, phase, event.done, event.total)
        elif line := line_of(event):
            self._say(line)

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)


class BarWatch(Watch):
    """Bars: one for each step, and one for each host or artifact while it is at work."""

    def __init__(self, *, yes: bool, on_lab: OnEvent) -> None:
        super().__init__(yes=yes, on_lab=on_lab)
        self._bars: Progress | None = None
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def __enter__(self) -> BarWatch:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop()

    def on_event(self, event: Event) -> None:
        """Bring the bars up to date."""
        if isinstance(event, StepStarted):
            self._add(event.step, "", event.title)
        elif isinstance(event, ProgressEvent):
            self._progress(event)
        elif isinstance(event, TaskDone):
            self._update(event.step, "", advance=1)
        elif isinstance(event, StepFinished):
            self._finish(event)
        elif line := line_of(event):
            self.console.print(line, markup=False, soft_wrap=True)

    def agree(self, view: PlanView) -> bool:
        """Ask without bars in the way."""
        self._stop()
        return super().agree(view)

    def _progress(self, event: ProgressEvent) -> None:
        if event.unit == "bytes":
            amount = f"{size(event.done)} of {size(event.total)}"
            self._piece(event, event.host, amount)
        elif event.unit == "artifact":
            label, _, phase = event.what.partition(": ")
            self._piece(event, label, phase)
        elif event.total:
            self._update(event.step, "", total=event.total, completed=event.done, text=event.what)
        else:
            self._update(event.step, "", text=event.what)

    def _piece(self, event: ProgressEvent, name: str, text: str) -> None:
        """Show a bar of its own for a piece of a step while it is at work."""
        self._add(event.step, name, f"  {short(name)}")
        self._update(event.step, name, total=event.total or None, completed=event.done, text=text)
        if event.total and event.done >= event.total:
            self._remove(event.step, name)

    def _remove(self, step: str, name: str) -> None:
        task = self._tasks.pop((step, name), None)
        if self._bars is not None and task is not None:
            self._bars.remove_task(task)

    def _finish(self, event: StepFinished) -> None:
        changes = f"{event.changed} change{'' if event.changed == 1 else 's'}" if event.changed else ""
        self._update(event.step, "", total=1, completed=1, text=changes)
        for step, piece in [key for key in self._tasks if key[0] == event.step and key[1]]:
            self._remove(step, piece)
        task = self._tasks.pop((event.step, ""), None)
        if self._bars is not None and task is not None:
            self._bars.stop_task(task)

    def _add(self, step: str, host: str, text: str) -> None:
        if (step, host) in self._tasks:
            return
        if self._bars is None:
            self._bars = _new_bars(self.console)
            self._bars.start()
        self._tasks[step, host] = self._bars.add_task(text, total=None, text="")

    def _update(self, step: str, host: str, **fields: object) -> None:
        task = self._tasks.get((step, host))
        if self._bars is not None and task is not None:
            self._bars.update(task, **fields)  # type: ignore[arg-type] # Rich's own keyword arguments

    def _stop(self) -> None:
        if self._bars is not None:
            self._bars.stop()
        self._bars = None
        self._tasks.clear()


def _new_bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[text]}", style="dim"),
        console=console,
    )


def line_of(event: Event) -> str:
    """Return an event as a line for people, empty where it is not worth one."""
    if isinstance(event, RunStarted):
        during = f" during {event.after_step}" if event.after_step else ""
        again = f"run {event.after} was cut off{during}; going on from what is there"
        return again if event.after else f"looking at {event.place}"
    if isinstance(event, StepStarted):
        hosts = f" ({', '.join(event.hosts)})" if event.hosts else ""
        return f"{event.step}: {event.title}{hosts}"
    if isinstance(event, TaskDone) and event.changed:
        return f"{event.step}: {event.host}: changed: {event.task}"
    if isinstance(event, StepFinished):
        return f"{event.step}: done in {event.seconds:.1f} s, {event.changed} changed"
    if isinstance(event, StepFailed):
        return f"{event.step}: failed"
    return ""


@contextmanager
def watching(*, as_json: bool, yes: bool) -> Iterator[Watch]:
    """Give the watcher that fits: bars on a terminal, else lines, or JSON lines where asked for."""
    with lab_progress.progress(as_json) as on_lab:
        if as_json:
            yield JsonWatch(yes=yes, on_lab=on_lab)
        elif not Console(stderr=True).is_terminal:
            yield LineWatch(yes=yes, on_lab=on_lab)
        else:
            with BarWatch(yes=yes, on_lab=on_lab) as watch:
                yield watch
