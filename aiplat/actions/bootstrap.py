"""`aiplat bootstrap`: from hosts as they are to the platform the site wants; showing it is aiplat.cli's."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from aiplat.actions.bootstrap_guest import RunWatcher, bootstrap_guest
from aiplat.actions.ending import end_of_install, install, tell
from aiplat.actions.gpu_facts import gather_with_gpus
from aiplat.actions.known_lock import bundle_for, known_lock
from aiplat.actions.make_bundle import complete_bundle
from aiplat.actions.plan import PlanView, plan_site, view_of
from aiplat.actions.reported_run import reported_run
from aiplat.actions.site_hosts import is_lab
from aiplat.actions.summary import Summary
from aiplat.bundle.build import open_ready
from aiplat.bundle.bundle import Bundle
from aiplat.bundle.trust import note_accepted
from aiplat.catalog.lockfile import write_lock
from aiplat.catalog.own_models import catalog_of
from aiplat.catalog.resolve import components_on
from aiplat.fleet.kubeconfig import fetch_kubeconfig
from aiplat.lab import LabEvent, lab_status, lab_up
from aiplat.plan.needs import generated_names
from aiplat.runs.context import RunContext
from aiplat.runs.run import Run
from aiplat.site.machines import see_hosts
from aiplat.site.models import Site
from aiplat.site.rules.files import BUNDLE_PREFIX
from aiplat.state import site_dir
from aiplat.vault.store import SiteSecrets, ensure_secrets, read_secrets


class Watcher(RunWatcher, Protocol):
    """Whoever looks on: a terminal, a program, a test."""

    def on_lab(self, event: LabEvent) -> None:
        """See an event of making the lab."""


@dataclass(frozen=True)
class Options:
    """`lab`: make the hosts on this machine although the site is not a built-in lab.

    `plan` is the digest of the plan that was agreed to: any other is refused. `run_id` is for who must know
    the run's id before it begins.
    """

    lab: bool = False
    plan: str | None = None
    run_id: str | None = None


def bootstrap(site: Site, options: Options, watcher: Watcher) -> Summary:
    """Bring a site's hosts to what it wants and look at what came of it.

    Raises:
        PlanRefusedError: something forbids it; nothing was changed.
        PlanMovedError: there is another plan now than the one agreed to; nothing was changed.
        StepError, StoppedError, AiplatError: see aiplat.runs; the next call resumes from what hosts show.
    """
    if options.lab:
        see_hosts(site, "leave --lab out")
    if site.is_guest:
        return bootstrap_guest(site, options.plan, options.run_id, watcher)
    lab = options.lab or is_lab(site)
    agreed_plan = options.plan
    if agreed_plan and lab and lab_status(site.name).state == "absent":
        # That plan was made for hosts that are not there yet, and holds until they are.
        plan_site(site).is_still(agreed_plan)
        agreed_plan = None
    if lab:
        # Before the run begins, so that the hosts are not among what ends with it.
        lab_up(site, watcher.on_lab)
    began = time.monotonic()
    with reported_run(site, "bootstrap", watcher.on_event, options.run_id) as run:
        view, secrets, bundle = _decide(run, site, agreed_plan, lab=lab)
        agreed = install(run, site, view, watcher.agree, lambda: _carry_out(run, site, view, secrets, bundle))
        return end_of_install(run, site, view.plan, agreed=agreed, began=began)


def _decide(
    run: Run, site: Site, agreed_plan: str | None, *, lab: bool
) -> tuple[PlanView, SiteSecrets, Bundle | None]:
    """Make what is missing on this side (secrets, bundle) and return the plan for the hosts as they are.

    The bundle is opened once, before anybody is asked whether to go on; None where there is nothing to do.
    """
    known, lock, facts = read_secrets(site.name), known_lock(site), gather_with_gpus(site)
    view = view_of(site, lock, facts, known)
    if agreed_plan:
        view.is_still(agreed_plan)
    view.refuse()
    needed = generated_names(components_on(site))
    secrets = ensure_secrets(site, lab=lab, needed=needed)
    if not lock.complete or _lacks_bundle(site, view):
        # Building takes minutes, so the hosts are looked at again.
        lock, facts = complete_bundle(run, site, lock).lock, gather_with_gpus(site)
    if secrets != known or lock is not view.lock:
        view = view_of(site, lock, facts, secrets)
    tell(run, view.plan)
    view.refuse()
    return view, secrets, None if view.plan.nothing_to_do else bundle_for(site, view.lock)


def _lacks_bundle(site: Site, view: PlanView) -> bool:
    """Whether something is to be moved and the bundle that holds it was removed or is not whole."""
    moves = any(step.bytes_to_move for step in view.plan.steps)
    return moves and not site.supply.startswith(BUNDLE_PREFIX) and open_ready(site, view.lock) is None


def _carry_out(run: Run, site: Site, view: PlanView, secrets: SiteSecrets, bundle: Bundle | None) -> None:
    if bundle is not None:
        # Loading Ansible's runner takes a third of a second, which a run with nothing to do need not wait.
        from aiplat.runs.execute import execute  # noqa: PLC0415

        note_accepted(site, bundle)
        context = RunContext(site, view.lock, catalog_of(site, view.lock), view.facts, secrets, bundle)
        execute(run, view.plan, context)
        write_lock(site_dir(site.name) / "lock.yaml", view.lock)
    if not view.plan.nothing_to_do or not (site_dir(site.name) / "kubeconfig").exists():
        fetch_kubeconfig(site)
