"""Carries out a plan that is one playbook, under a lease of its hosts; which roles it gives what is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiplat.fleet.ansible import run_playbook
from aiplat.fleet.inventory import write_run_folder
from aiplat.fleet.lease import hold_lease
from aiplat.plan.models import Plan
from aiplat.plan.role_variables import RoleVariables
from aiplat.runs.plays import Plays
from aiplat.runs.run import Run
from aiplat.site.models import Site


def play_plan(
    run: Run, site: Site, plan: Plan, playbook: str, variables: Mapping[str, Sequence[RoleVariables]]
) -> None:
    """Run `playbooks/<playbook>.yml`, whose plays are named after the plan's steps, on the plan's hosts.

    Raises:
        StepError: a step failed.
    """
    hosts = list(dict.fromkeys(name for step in plan.steps for name in step.hosts))
    plays = Plays(run, {step.id: step for step in plan.steps})
    with (
        hold_lease(site, run.id, hosts),
        write_run_folder(site, plan, run.id, variables, {}) as folder,
        run.stop.at_safe_points(),
    ):
        outcome = run_playbook(playbook, folder, plays.take, run.stop)
    plays.end(outcome)
