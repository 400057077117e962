"""Shows the events of making a lab: bars on a terminal, lines in a log, JSON lines for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from aiplat.cli.terminal import Console
from aiplat.lab import LabEvent, OnEvent


@contextmanager
def progress(as_json: bool) -> Iterator[OnEvent]:
    """Give the function that shows events: on standard error for people, on standard output as JSON lines."""
    console = Console(stderr=True, highlight=False)
    if as_json:
        yield lambda event: typer.echo(json.dumps({"kind": "Event", **asdict(event)}))
    elif not console.is_terminal:
        yield lambda event: _print_line(console, event)
    else:
        with _Bars(console) as bars:
            yield bars.show


def _print_line(console: Console, event: LabEvent) -> None:
    if event.event == "step_finished" and event.changed:
        console.print(f"{_title(event)}: done", markup=False)


def _title(event: LabEvent) -> str:
    return f"{event.host}: {event.text}" if event.host else event.text


class _Bars:
    """One bar for each step that runs; a step that had nothing to do leaves no line."""

    def __init__(self, console: Console) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=console)
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def show(self, event: LabEvent) -> None:
        """Show one event."""
        key = (event.step, event.host)
        if event.event == "step_started":
            self._tasks[key] = self._progress.add_task(_title(event), total=None)
        elif event.event == "progress":
            self._progress.update(self._tasks[key], total=event.total, completed=event.done)
        elif event.changed or event.step == "ssh":
            self._progress.update(self._tasks[key], total=1, completed=1)
        else:
            self._progress.remove_task(self._tasks.pop(key))
