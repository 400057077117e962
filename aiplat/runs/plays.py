"""Turns what a playbook reports into a run's step and task events; starting it is in aiplat.runs.execute."""

from __future__ import annotations

import time
from collections.abc import Mapping

from aiplat.errors import Finding
from aiplat.fleet.ansible import PlaybookOutcome, TaskEvent
from aiplat.plan.models import Step
from aiplat.plan.steps import step_kind
from aiplat.runs.events import Progress, StepFinished, StepStarted, TaskDone
from aiplat.runs.run import Run, StepError


class Plays:
    """Follows one playbook; its plays are named after the plan's steps."""

    def __init__(self, run: Run, steps: Mapping[str, Step]) -> None:
        self._run = run
        self._steps = steps
        self._began = time.monotonic()
        self._before = self._changed_before = run.changed

    def take(self, event: TaskEvent) -> None:
        """Pass on one report."""
        if event.kind == "play":
            self._finish()
            self._start(event.play)
        elif event.kind in {"task_started", "item"}:
            what = f"{event.task}: {event.item}" if event.item else event.task
            self._run.emit(Progress(step=event.play, host="", done=0, total=0, unit="tasks", what=what))
        elif event.kind == "task":
            self._run.changed += bool(event.changed)
            self._run.notes.extend(f"{event.host}: {note}" for note in event.notes)
            self._run.emit(
                TaskDone(
                    step=event.play,
                    host=event.host,
                    task=event.task,
                    changed=event.changed,
                    notes=event.notes,
                )
            )

    def end(self, outcome: PlaybookOutcome) -> None:
        """Close the last step.

        Raises:
            StepError: the playbook failed; one finding per host and task.
        """
        # Ansible's own count knows of changes whose results were hidden; a run cut short has none.
        self._run.changed = max(self._run.changed, self._before + outcome.changed)
        if outcome.ok:
            self._finish()
            return
        findings = [
            Finding(f"{f.play} on {f.host}", f"{f.task}: {f.cause}", help_for(f.play, f.host))
            for f in outcome.failures
        ]
        raise StepError(findings or [Finding("ansible-playbook", outcome.output.strip()[-2000:] or "failed")])

    def _start(self, play: str) -> None:
        step = self._steps.get(play)
        if step is None:
            return
        self._run.current_step = play
        self._began, self._changed_before = time.monotonic(), self._run.changed
        self._run.emit(StepStarted(step=play, title=step.title, hosts=step.hosts))

    def _finish(self) -> None:
        if not self._run.current_step:
            return
        seconds = round(time.monotonic() - self._began, 3)
        changed = self._run.changed - self._changed_before
        self._run.emit(StepFinished(step=self._run.current_step, changed=changed, seconds=seconds))
        self._run.current_step = ""


def help_for(step: str, host: str) -> str:
    """Return what to do about a step that failed on a host."""
    again = "then run the same command again"
    if unit := step_kind(step).unit.removesuffix(".service"):
        return f"see `journalctl -u {unit} -n 50` on {host}, {again}"
    if step == "plane_release":
        return f"see `aiplat status` for what is wrong in the cluster, {again}"
    return f"put it right on {host}, {again}"
