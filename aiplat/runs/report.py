"""Folds the events of a run into a report that stays small; sending it is aiplat.runs.reporter's matter."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import singledispatchmethod
from pathlib import Path
from typing import Any

from aiplat.cluster.run_reports import (
    FailureSeen,
    ProgressSeen,
    ReportState,
    RunReport,
    StepSeen,
    StepState,
    TaskSeen,
)
from aiplat.runs.events import (
    Event,
    PlanMade,
    Progress,
    RunFinished,
    RunStarted,
    StepFailed,
    StepFinished,
    StepStarted,
    TaskDone,
)
from aiplat.runs.journal import RunRecord, now, read_events

TASKS = 100
"""The newest changes that a report names."""
NOTES = 100


@dataclass
class _Step:
    title: str = ""
    state: StepState = "waiting"
    hosts: tuple[str, ...] = ()
    reasons: dict[str, str] = field(default_factory=dict)
    restarts: tuple[str, ...] = ()
    changed: int = 0
    seconds: float = 0.0
    progress: dict[str, ProgressSeen] = field(default_factory=dict)

    def seen(self, name: str) -> StepSeen:
        more = vars(self) | {"progress": tuple(self.progress.values())}
        return StepSeen(id=name, **more)


class RunSoFar:
    """What the events of one run have told until now."""

    def __init__(self, machine: str) -> None:
        self._machine = machine
        self._told: dict[str, Any] = {"id": "", "verb": "", "state": "running", "started": ""}
        self._steps: dict[str, _Step] = {}
        self._failures: list[FailureSeen] = []
        self._notes: deque[str] = deque(maxlen=NOTES)
        self._tasks: deque[TaskSeen] = deque(maxlen=TASKS)

    def report(self, state: ReportState | None = None) -> RunReport:
        """Return the run as it stands; `state` is for what its events cannot tell."""
        return RunReport(
            **self._told | ({"state": state} if state else {}),
            machine=self._machine,
            heard=now(),
            steps=tuple(step.seen(name) for name, step in self._steps.items()),
            failures=tuple(self._failures),
            notes=tuple(self._notes),
            tasks=tuple(self._tasks),
        )

    @singledispatchmethod
    def see(self, event: Event) -> None:
        """Take in one event."""

    @see.register
    def _(self, event: RunStarted) -> None:
        self._told |= {"id": event.run, "verb": event.verb, "started": event.time}
        self._told |= {"after": event.after or "", "after_step": event.after_step or ""}

    @see.register
    def _(self, event: PlanMade) -> None:
        self._told["planned"] = True
        for planned in event.plan.get("steps", ()):
            step = self._step(str(planned["id"]))
            step.title, step.hosts = str(planned["title"]), tuple(planned["hosts"])
            step.reasons, step.restarts = dict(planned["reason"]), tuple(planned.get("restarts", ()))

    @see.register
    def _(self, event: StepStarted) -> None:
        step = self._step(event.step)
        step.state = "running"
        step.title, step.hosts = event.title or step.title, event.hosts or step.hosts

    @see.register
    def _(self, event: TaskDone) -> None:
        step = self._step(event.step)
        step.changed += bool(event.changed)
        self._told["changed"] = self._told.get("changed", 0) + bool(event.changed)
        self._notes.extend(f"{event.host}: {note}" for note in event.notes)
        if event.changed is not False:
            told = event.model_dump(include={"time", "step", "host", "task", "changed"})
            self._tasks.append(TaskSeen(**told))

    @see.register
    def _(self, event: Progress) -> None:
        told = event.model_dump(include={"host", "done", "total", "unit", "what"})
        self._step(event.step).progress[event.host] = ProgressSeen(**told)

    @see.register
    def _(self, event: StepFinished) -> None:
        step = self._step(event.step)
        step.state, step.seconds = "done", event.seconds
        # A step's own count knows of changes whose results were hidden.
        step.changed, step.progress = max(step.changed, event.changed), {}

    @see.register
    def _(self, event: StepFailed) -> None:
        self._step(event.step).state = "failed"
        failure = FailureSeen(step=event.step, where=event.host, cause=event.cause, help=event.help)
        self._failures.append(failure)

    @see.register
    def _(self, event: RunFinished) -> None:
        self._told |= {"state": event.state, "finished": event.time}
        self._told |= {"changed": event.changed, "seconds": event.seconds}

    def _step(self, name: str) -> _Step:
        return self._steps.setdefault(name, _Step())


def report_of(record: RunRecord, folder: Path) -> RunReport:
    """Return the report of a run that is over, from its journal; one without an end was cut off."""
    so_far = RunSoFar(record.host)
    for event in read_events(folder):
        so_far.see(event)
    told = so_far.report("cut_off" if record.state == "running" else record.state)
    # A journal whose first lines a full disk left out still has its record.
    return told.model_copy(update={"id": record.id, "verb": record.verb, "started": record.started})
