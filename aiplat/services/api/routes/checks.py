"""/checks: the checks as sentences, and what they last saw; how they look is in aiplat.verify."""

from __future__ import annotations

from fastapi import APIRouter

from aiplat.services.api.callers import Asking, needs
from aiplat.services.api.dependencies import Here
from aiplat.services.api.documents import Document
from aiplat.services.api.problems import problems
from aiplat.verify.report import Report, Result
from aiplat.verify.run import checks_of

router = APIRouter(prefix="/checks", tags=["checks"], responses=problems(401, 403, 503))


class CheckView(Document):
    """A check: a sentence that is true of a healthy site. `every` says how often to look, in seconds."""

    sentence: str
    plane: str
    component: str
    every: int
    last: Result | None = None


class Checks(Document):
    """All checks of the site; `checked_at` is when somebody last looked, null where nobody did."""

    checked_at: str | None
    checks: tuple[CheckView, ...]


@router.get("", operation_id="listChecks", **needs("operator"))
def list_checks(here: Here) -> Checks:
    """Return every check of the site with what the last look saw; nothing is looked at now."""
    site = here.site()
    report = here.reports.last(site)
    seen = {r.sentence: r for r in report.results} if report else {}
    return Checks(
        checked_at=report.checked_at if report else None,
        checks=tuple(
            CheckView(
                sentence=c.sentence,
                plane=c.plane,
                component=c.component,
                every=c.every,
                last=seen.get(c.sentence),
            )
            for c in checks_of(site)
        ),
    )


@router.post("", operation_id="runChecks", responses=problems(409), **needs("operator"))
async def run_checks(here: Here, caller: Asking) -> Report:
    """Look at the site with every check now and return the report, as `aiplat verify --json` does.

    Takes seconds; models are asked a question, connections are tried from inside pods.
    """
    report = await here.look(lambda: here.reports.look(here.site()))
    await here.note(caller, "checks.run", report.site, {"failed": len(report.of("FAIL"))})
    return report
