"""The run's step `bundle`: makes what the lock names, with progress; how it is made is aiplat.supply's."""

from __future__ import annotations

from aiplat.actions.lock import pinned
from aiplat.bundle.build import build_bundle
from aiplat.bundle.bundle import Bundle
from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.plan.make import OPERATOR
from aiplat.plan.steps import step_kind
from aiplat.runs.events import Progress
from aiplat.runs.run import Run
from aiplat.site.models import Site
from aiplat.supply.choose import supply_for


def complete_bundle(run: Run, site: Site, lock: Lock) -> Bundle:
    """Make every artifact of the lock that is not made yet and return the bundle, whose lock is complete."""

    def report(artifact: Artifact, phase: str, done: int, total: int) -> None:
        what = f"{artifact.label}: {phase}"
        run.emit(Progress(step="bundle", host=OPERATOR, done=done, total=total, unit="artifact", what=what))

    with run.step("bundle", step_kind("bundle").title, (OPERATOR,)):
        lock = pinned(site, lock, report)
        return build_bundle(site, lock, supply_for(site, lock), report)
