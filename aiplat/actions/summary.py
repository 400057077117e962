"""How a run ended, as one document; how it looks on a screen belongs in aiplat.cli."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiplat.frozen import Frozen
from aiplat.runs.events import State


class PlaneLine(Frozen):
    """A plane and what is in it."""

    name: str
    title: str
    components: tuple[str, ...]


class CheckLine(Frozen):
    """A check as a sentence and what it saw: OK, FAIL or SKIP."""

    sentence: str
    result: str
    detail: str = ""
    fix: str = ""


class Words(Frozen):
    """What the model said, through the gateway, to a prompt."""

    model: str
    prompt: str
    answer: str


class Summary(Frozen):
    """The last document of a run; `changed` counts changes on hosts, `url` is the platform's.

    `notes` is what the modules that did it have to say, `host: sentence`.
    """

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Summary"] = "Summary"
    verb: str
    site: str
    run: str
    state: State
    changed: int
    seconds: float
    restarts: tuple[str, ...] = ()
    bytes_moved: int = 0
    notes: tuple[str, ...] = ()
    url: str = ""
    key: str = ""
    planes: tuple[PlaneLine, ...] = ()
    checks: tuple[CheckLine, ...] = ()
    words: Words | None = None

    @property
    def failed_checks(self) -> tuple[CheckLine, ...]:
        """The checks that found something wrong."""
        return tuple(check for check in self.checks if check.result == "FAIL")
