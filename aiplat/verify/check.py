"""What a check is: a sentence, how to look, how often; running many is in run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiplat.verify.context import CheckContext

Look = Callable[[CheckContext], str]


class Failed(Exception):
    """What the check looked at is not as the sentence says; `fix` says what to do, where that is known."""

    def __init__(self, detail: str, fix: str = "") -> None:
        super().__init__(detail)
        self.fix = fix


class Skipped(Exception):
    """There is nothing to look at, or no way to; the message says why."""


@dataclass(frozen=True)
class Check:
    """A sentence that is true of a healthy site, and how to find out.

    `look` returns what it saw, or raises Failed or Skipped. `every` is in seconds.
    """

    sentence: str
    plane: str
    component: str
    look: Look
    every: int = 60


def fail_on(problems: list[str], fix: str = "") -> None:
    """Raise Failed naming every problem, where there is one."""
    if problems:
        raise Failed("; ".join(problems), fix)
