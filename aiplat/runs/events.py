"""The events of a run as typed models; aiplat.runs.journal writes them down, aiplat.cli shows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

State = Literal["running", "done", "failed", "interrupted", "declined"]


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    time: str = ""
    run: str = ""


class RunStarted(_Event):
    """A run began; `after` names the earlier run that was cut off, and `after_step` where.

    `place` is what it looks at and changes, in words.
    """

    event: Literal["run_started"] = "run_started"
    site: str
    verb: str
    after: str | None = None
    after_step: str | None = None
    place: str = "the hosts"


class PlanMade(_Event):
    """The plan the run goes by, whole."""

    event: Literal["plan"] = "plan"
    digest: str
    plan: dict[str, Any]


class StepStarted(_Event):
    """A step began on these hosts."""

    event: Literal["step_started"] = "step_started"
    step: str
    title: str = ""
    hosts: tuple[str, ...] = ()


class TaskDone(_Event):
    """One thing done on one host, with what it has to say (`notes`, sentences).

    `changed` is None where the result may hold secrets and is hidden.
    """

    event: Literal["task"] = "task"
    step: str
    host: str
    task: str
    changed: bool | None
    notes: tuple[str, ...] = ()


class Progress(_Event):
    """How far a long thing is; `unit` is what `done` and `total` (0: unknown) count. `what` is at work."""

    event: Literal["progress"] = "progress"
    step: str
    host: str
    done: int
    total: int
    unit: str = "bytes"
    what: str = ""


class StepFinished(_Event):
    """A step ended well."""

    event: Literal["step_finished"] = "step_finished"
    step: str
    changed: int = 0
    seconds: float = 0.0


class StepFailed(_Event):
    """A step failed: why, and the command that helps."""

    event: Literal["step_failed"] = "step_failed"
    step: str
    host: str
    cause: str
    help: str


class RunFinished(_Event):
    """The last event of a run that ended by itself."""

    event: Literal["run_finished"] = "run_finished"
    state: State
    changed: int = 0
    seconds: float = 0.0


Event = Annotated[
    RunStarted | PlanMade | StepStarted | TaskDone | Progress | StepFinished | StepFailed | RunFinished,
    Field(discriminator="event"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
