"""What checks saw, as one document; the checks themselves are in core and kinds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aiplat.frozen import Frozen

Outcome = Literal["OK", "FAIL", "SKIP"]


class Result(Frozen):
    """What one check saw. `seconds` is how long it looked, `every` how often it is worth looking (seconds).

    `detail` is what was seen, or why it was skipped; `fix` what to do about a FAIL, where that is known.
    """

    sentence: str
    plane: str
    component: str
    result: Outcome
    detail: str = ""
    fix: str = ""
    seconds: float = 0.0
    every: int = 60


class Report(Frozen):
    """All results, in the order of the checks; `checked_at` is UTC."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Report"] = "Report"
    site: str
    checked_at: str
    results: tuple[Result, ...]

    def of(self, outcome: Outcome) -> tuple[Result, ...]:
        """Return the results with one outcome."""
        return tuple(r for r in self.results if r.result == outcome)

    @property
    def good(self) -> bool:
        """Whether nothing was found wrong; what was skipped counts as not wrong."""
        return not self.of("FAIL")
