"""Reports of runs inside the site: one ConfigMap a run, written where runs are made and read by its pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiplat.cluster.raw import Document, RawObjects
from aiplat.moments import moment_of

KEPT = 20
"""Runs of which a site keeps a report."""
MOST_BYTES = 256 << 10
"""One report; the API takes a megabyte, and etcd writes every change of it whole."""
_LABEL, _STATE = "aiplat.dev/run", "aiplat.dev/run-state"
_KEY = "report.json"
_SHORT, _FEW = 500, 20

ReportState = Literal["running", "done", "failed", "interrupted", "declined", "cut_off"]
StepState = Literal["waiting", "running", "done", "failed"]


class _Part(BaseModel):
    # A newer aiplat may report to an older page, which shows what it knows.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class ProgressSeen(_Part):
    """How far a long thing is on a host (empty: on the machine that makes the run)."""

    host: str
    done: int
    total: int
    unit: str
    what: str = ""


class StepSeen(_Part):
    """A step of the plan: where, why on each host, and how it stands. `changed` counts tasks."""

    id: str
    title: str = ""
    state: StepState = "waiting"
    hosts: tuple[str, ...] = ()
    reasons: dict[str, str] = Field(default_factory=dict)
    restarts: tuple[str, ...] = ()
    changed: int = 0
    seconds: float = 0.0
    progress: tuple[ProgressSeen, ...] = ()


class FailureSeen(_Part):
    """Why a step failed, and what helps."""

    step: str
    where: str
    cause: str
    help: str = ""


class TaskSeen(_Part):
    """A task that changed something, or may have (`changed` None: its result is hidden)."""

    time: str
    step: str
    host: str
    task: str
    changed: bool | None = None


class RunReport(_Part):
    """A run as its events tell of it; `heard` is when it was written. No part of it holds a secret."""

    id: str
    verb: str
    machine: str
    state: ReportState
    started: str
    heard: str
    finished: str = ""
    changed: int = 0
    seconds: float = 0.0
    after: str = ""
    after_step: str = ""
    planned: bool = False
    steps: tuple[StepSeen, ...] = ()
    failures: tuple[FailureSeen, ...] = ()
    notes: tuple[str, ...] = ()
    tasks: tuple[TaskSeen, ...] = ()

    @property
    def over(self) -> bool:
        """Whether nothing more is to come."""
        return self.state != "running"


@dataclass(frozen=True)
class KeptReport:
    """A report as the cluster has it: `version` changes with it, `arrived` is by the cluster's own clock."""

    report: RunReport
    version: str
    arrived: datetime | None


class ReportShelf:
    """The reports of a site's runs, in one namespace of its cluster."""

    def __init__(self, objects: RawObjects, namespace: str) -> None:
        self._objects, self._namespace = objects, namespace

    def put(self, report: RunReport) -> None:
        """Keep a report, in place of the one before of the same run.

        Raises:
            Refused, NoAnswer: the cluster does not take it.
        """
        labels = {_LABEL: "true", _STATE: report.state, "app.kubernetes.io/managed-by": "aiplat"}
        meta = {"name": _name(report.id), "namespace": self._namespace, "labels": labels}
        text = fitting(report).model_dump_json(exclude_defaults=True)
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {_KEY: text}}
        self._objects.apply(document)

    def listed(self, *, at_work: bool = False) -> list[KeptReport]:
        """Return all reports, or those of runs that are at work, newest first; unreadable ones are left out.

        Raises:
            Refused, NoAnswer: the cluster does not say.
        """
        selector = f"{_LABEL}=true" + (f",{_STATE}=running" if at_work else "")
        found = map(_kept, self._objects.listed("ConfigMap", self._namespace, selector))
        return sorted((k for k in found if k), key=lambda k: k.report.id, reverse=True)

    def drop(self, run: str) -> None:
        """Forget a run.

        Raises:
            Refused, NoAnswer: the cluster does not do it.
        """
        self._objects.delete("ConfigMap", self._namespace, _name(run))


def fitting(report: RunReport) -> RunReport:
    """Return a report that is small enough to be kept: first tasks and notes are left out, then reasons."""
    if _size(report) <= MOST_BYTES:
        return report
    short = report.model_copy(update={"tasks": (), "notes": _short(report.notes)})
    if _size(short) <= MOST_BYTES:
        return short
    failures = tuple(f.model_copy(update={"cause": f.cause[:_SHORT]}) for f in report.failures[:_FEW])
    return short.model_copy(update={"steps": tuple(map(_few, report.steps)), "failures": failures})


def _few(step: StepSeen) -> StepSeen:
    reasons = {host: step.reasons[host][:_SHORT] for host in sorted(step.reasons)[:_FEW]}
    more = {"reasons": reasons, "hosts": step.hosts[:_FEW], "restarts": step.restarts[:_FEW], "progress": ()}
    return step.model_copy(update=more)


def _short(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(text[:_SHORT] for text in texts[:_FEW])


def _size(report: RunReport) -> int:
    return len(report.model_dump_json(exclude_defaults=True).encode())


def _name(run: str) -> str:
    return f"run-{run.lower()}"


def _kept(document: Document) -> KeptReport | None:
    meta, text = document["metadata"], (document.get("data") or {}).get(_KEY, "")
    try:
        report = RunReport.model_validate_json(text)
    except ValidationError:
        return None
    if _name(report.id) != meta["name"]:
        # Reports are dropped by their names, with an admin's rights: an id must not lead elsewhere.
        return None
    times = [str(field["time"]) for field in meta.get("managedFields", ()) if field.get("time")]
    try:
        arrived = moment_of(max(times)) if times else None
    except ValueError:
        arrived = None
    return KeptReport(report, str(meta.get("resourceVersion", "")), arrived)
