"""What all runs have around their work: the plan told, agreement asked, checks, and the summary of it all."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

from aiplat.actions.plan import PlanView
from aiplat.actions.smoke_test import platform_url, smoke_test
from aiplat.actions.summary import CheckLine, PlaneLine, Summary, Words
from aiplat.actions.vault import note_installed, note_proven
from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.resolve import components_on
from aiplat.fleet.disks import full_disks
from aiplat.fleet.tunnel import way_to
from aiplat.plan.models import Plan
from aiplat.runs.events import PlanMade, Progress
from aiplat.runs.run import Run
from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.vault.store import read_secrets
from aiplat.verify.report import Result
from aiplat.verify.run import run_checks

STEP = "checks"
PATIENCE_SECONDS = 60
"""How long checks that fail are asked again: releases take that long to come back after a reboot."""


def tell(run: Run, plan: Plan) -> None:
    """Write a run's plan down and show it."""
    run.emit(PlanMade(digest=plan.digest, plan=plan.model_dump(mode="json", by_alias=True)))


def install(
    run: Run, site: Site, view: PlanView, agree: Callable[[PlanView], bool], carry_out: Callable[[], None]
) -> bool:
    """Ask whether to go on where there is something to do, and carry it out; say whether it was agreed."""
    agreed = view.plan.nothing_to_do or agree(view)
    if agreed:
        carry_out()
        note_installed(site)
    else:
        run.state = "declined"
    return agreed


def end_of_install(run: Run, site: Site, plan: Plan, *, agreed: bool, began: float) -> Summary:
    """Return the summary of a bootstrap; what was rotated is proven once no check finds anything wrong.

    `began` is when the run did, by the monotonic clock.
    """
    summary = _looked_at(run, site, plan, looked=agreed, began=began)
    if agreed and not summary.failed_checks:
        note_proven(site)
    return summary


def end_of_removal(run: Run, site: Site, verb: str, began: float, *notes: str) -> Summary:
    """Return the summary of a run that takes something away, after which there is nothing to look at."""
    return Summary(
        verb=verb,
        site=site.name,
        run=run.id,
        state=run.state,
        changed=run.changed,
        notes=(*run.notes, *notes),
        seconds=round(time.monotonic() - began, 1),
    )


def _looked_at(run: Run, site: Site, plan: Plan, *, looked: bool, began: float) -> Summary:
    """Return the summary of a run; with `looked`, the platform is checked and its model asked first.

    `began` is when the run did, by the monotonic clock.
    """
    checks, words = _look(run, site) if looked else ((), None)
    return Summary(
        verb=plan.verb,
        site=site.name,
        run=run.id,
        state=run.state,
        changed=run.changed,
        seconds=round(time.monotonic() - began, 1),
        restarts=tuple(r for step in plan.steps for r in step.restarts) if looked else (),
        bytes_moved=sum(step.bytes_to_move for step in plan.steps) if looked else 0,
        notes=tuple(run.notes),
        url=platform_url(site),
        key=str(site_dir(site.name) / "vault.yml"),
        planes=_planes(site),
        checks=checks,
        words=words,
    )


def _planes(site: Site) -> tuple[PlaneLine, ...]:
    on = components_on(site)
    rows = ((plane, [c.name for c in on if c.plane == plane.name]) for plane in load_catalog().planes)
    return tuple(PlaneLine(name=p.name, title=p.title, components=tuple(names)) for p, names in rows if names)


def _look(run: Run, site: Site) -> tuple[tuple[CheckLine, ...], Words | None]:
    """Run all checks, again where something is still starting, and ask the model meanwhile."""
    secrets, done = read_secrets(site.name), count(1)

    def report(result: Result, total: int) -> None:
        asked = next(done)
        what = result.sentence if asked <= total else f"once more: {result.sentence}"
        run.emit(Progress(step=STEP, host="", done=min(asked, total), total=total, unit="checks", what=what))

    with run.step(STEP, "Look at what came of it", ()), ThreadPoolExecutor(max_workers=1) as aside:
        words = aside.submit(smoke_test, site, secrets) if secrets else None
        way, disks = way_to(site), partial(full_disks, site)
        seen = run_checks(site, report, patience=PATIENCE_SECONDS, way=way, disks=disks)
        lines = tuple(_line(result) for result in seen.results)
        return lines, words.result() if words else None


def _line(result: Result) -> CheckLine:
    return CheckLine(sentence=result.sentence, result=result.result, detail=result.detail, fix=result.fix)
