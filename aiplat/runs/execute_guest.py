"""Carries a plan out in an existing cluster, from this machine, by Helm; it decides nothing."""

from __future__ import annotations

from aiplat.catalog.artifacts import Digest
from aiplat.content import write_atomic
from aiplat.fleet.ansible import run_playbook
from aiplat.fleet.inventory import scratch_of, write_run_folder
from aiplat.plan.guest_plan import (
    PUSH,
    RELEASE,
    GuestFacts,
    Places,
    brought,
    guest_variables,
    this_machine,
    used_here,
)
from aiplat.plan.make import OPERATOR
from aiplat.plan.models import Ledger, Plan
from aiplat.plan.role_variables import RoleVariables
from aiplat.runs.context import RunContext, private_variables
from aiplat.runs.execute import by_ansible, check_bundle
from aiplat.runs.guest_images import bring
from aiplat.runs.plays import Plays
from aiplat.runs.run import Run
from aiplat.site.models import Site
from aiplat.state import ledger_file, private_dir, programs_dir


def execute_guest(run: Run, plan: Plan, context: RunContext, found: GuestFacts) -> None:
    """Do what the plan says, in its order; `found` is the cluster as the plan was made for it.

    Raises:
        BadInput: the bundle is damaged; the cluster was not touched.
        StepError: a step failed; the next run continues from there.
    """
    steps = {step.id: step for step in plan.steps}
    if "bundle" in steps:
        with run.step("bundle", steps["bundle"].title, (OPERATOR,)):
            check_bundle(run, context.bundle, _used(context, found.absent))
    if PUSH in steps:
        with run.step(PUSH, steps[PUSH].title, (OPERATOR,)):
            bring(run, context, found.seen.nodes)
    if RELEASE in steps:
        _claim(context.site, found.seen.identity)
        _play(run, plan, context)


def _claim(site: Site, cluster: str) -> None:
    """Record that what will be in this cluster is the site's, so that a run that is cut off can go on."""
    path = ledger_file(site.name)
    if not path.exists():
        ledger = Ledger(site=site.name, cluster=cluster)
        write_atomic(path, ledger.model_dump_json(by_alias=True).encode(), 0o600)


def _used(context: RunContext, absent: tuple[str, ...]) -> set[Digest]:
    moved = [artifact for artifact in brought(context.lock) if artifact.digest in absent]
    return {blob.digest for artifact in (*moved, *used_here(context.lock)) for blob in artifact.blobs}


def _play(run: Run, plan: Plan, context: RunContext) -> None:
    site = context.site
    variables: list[RoleVariables] = [
        guest_variables(
            site,
            context.lock,
            context.catalog,
            context.public,
            Places(
                programs=str(private_dir(programs_dir(site.name))),
                blobs=str(context.bundle.path / "blobs"),
                scratch=str(scratch_of(run.id)),
            ),
        )
    ]
    play_here(run, site, by_ansible(plan), variables, private_variables(context))


def play_here(
    run: Run, site: Site, plan: Plan, variables: list[RoleVariables], private: dict[str, object]
) -> None:
    """Run the playbook of the plan's verb on this machine, where the roles for an existing cluster work.

    Raises:
        StepError: a step failed.
    """
    plays = Plays(run, {step.id: step for step in plan.steps})
    here = site.model_copy(update={"hosts": (this_machine(),)})
    with (
        write_run_folder(here, plan, run.id, {OPERATOR: variables}, private) as folder,
        run.stop.at_safe_points(),
    ):
        outcome = run_playbook(plan.verb, folder, plays.take, run.stop)
    plays.end(outcome)
