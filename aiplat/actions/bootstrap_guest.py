"""`aiplat bootstrap` where the cluster is there already: nothing of its machines is touched."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from aiplat.actions.ending import end_of_install, install, tell
from aiplat.actions.guest_look import held_cluster, look_at_guest, see_free
from aiplat.actions.known_lock import bundle_for, known_lock
from aiplat.actions.make_bundle import complete_bundle
from aiplat.actions.plan import PlanView, guest_view
from aiplat.actions.reported_run import reported_run
from aiplat.actions.summary import Summary
from aiplat.bundle.build import open_ready
from aiplat.bundle.trust import note_accepted
from aiplat.catalog.lockfile import write_lock
from aiplat.catalog.own_models import catalog_of
from aiplat.catalog.resolve import components_on
from aiplat.cluster.client import Cluster
from aiplat.fleet.guest_way import wait_for_address
from aiplat.plan.guest_plan import GuestFacts
from aiplat.plan.make import OPERATOR
from aiplat.plan.needs import generated_names
from aiplat.runs.context import RunContext
from aiplat.runs.events import Event
from aiplat.runs.run import Run
from aiplat.site.given_address import awaits_address, keep_address
from aiplat.site.models import Site
from aiplat.site.rules.files import BUNDLE_PREFIX
from aiplat.state import site_dir
from aiplat.vault.store import SiteSecrets, ensure_secrets, read_secrets

DOOR = "address"
DOOR_SECONDS = 120
NO_ADDRESS = (
    f"no load balancer gave the Service gateway-outside an address within {DOOR_SECONDS} s (kind has none): "
    "the site is reached by `aiplat tunnel`; when an address is there, run `aiplat bootstrap` again"
)


class RunWatcher(Protocol):
    """Whoever looks on at a run."""

    def on_event(self, event: Event) -> None:
        """See an event of the run."""

    def agree(self, view: PlanView) -> bool:
        """Say whether the plan is to be carried out."""
        ...


def bootstrap_guest(site: Site, agreed_plan: str | None, run_id: str | None, watcher: RunWatcher) -> Summary:
    """Bring the platform into a site's existing cluster and look at what came of it.

    Raises:
        PlanRefusedError: something forbids it; nothing was changed.
        PlanMovedError: there is another plan now than the one agreed to; nothing was changed.
        LeaseError: another machine's run changes the cluster.
        StepError, StoppedError, AiplatError: see aiplat.runs; the next call resumes from what is there.
    """
    began = time.monotonic()
    with reported_run(site, "bootstrap", watcher.on_event, run_id) as run:
        decided = _decide(run, site, agreed_plan)
        agreed = install(run, decided.site, decided.view, watcher.agree, lambda: _carry_out(run, decided))
        reached = _with_door(run, decided.site) if agreed else decided.site
        return end_of_install(run, reached, decided.view.plan, agreed=agreed, began=began)


@dataclass(frozen=True)
class _Decided:
    """What a run does: the site with the address it has, the plan, and what it was made from."""

    site: Site
    view: PlanView
    found: GuestFacts
    secrets: SiteSecrets


def _with_door(run: Run, site: Site) -> Site:
    """Wait for the load balancer's address where the site is reached by it, and install what names it.

    Where none comes the site stays reached by Kubernetes' port forwarding, and the run says so.
    """
    if not awaits_address(site):
        return site
    with run.step(DOOR, "Wait for the load balancer's address", (OPERATOR,)):
        address = wait_for_address(Cluster.of_site(site.name), DOOR_SECONDS)
    if not address:
        run.notes.append(NO_ADDRESS)
        return site
    later = keep_address(site, address)
    if later.endpoint != site.endpoint:
        _carry_out(run, _decide(run, later, None))
    return later


def _decide(run: Run, site: Site, agreed_plan: str | None) -> _Decided:
    known, lock = read_secrets(site.name), known_lock(site)
    found = look_at_guest(site, lock)
    see_free(found)
    site = keep_address(site, found.address)
    view = guest_view(site, lock, found, known)
    if agreed_plan:
        view.is_still(agreed_plan)
    view.refuse()
    secrets = ensure_secrets(site, lab=False, needed=generated_names(components_on(site)))
    if not lock.complete or _lacks_bundle(site, view):
        lock = complete_bundle(run, site, lock).lock
        found = look_at_guest(site, lock)
    if secrets != known or lock is not view.lock:
        view = guest_view(site, lock, found, secrets)
    if site.trust.signers and not view.plan.nothing_to_do:
        bundle_for(site, lock)  # refused before anybody is asked whether to go on
    tell(run, view.plan)
    view.refuse()
    return _Decided(site, view, found, secrets)


def _lacks_bundle(site: Site, view: PlanView) -> bool:
    """Whether there is something to do and the bundle for it was removed or is not whole."""
    given = site.supply.startswith(BUNDLE_PREFIX)
    return not view.plan.nothing_to_do and not given and open_ready(site, view.lock) is None


def _carry_out(run: Run, decided: _Decided) -> None:
    site, view, secrets = decided.site, decided.view, decided.secrets
    if view.plan.nothing_to_do:
        return
    # Loading Ansible's runner takes a third of a second, which a run with nothing to do need not wait.
    from aiplat.runs.execute_guest import execute_guest  # noqa: PLC0415

    bundle = bundle_for(site, view.lock)
    note_accepted(site, bundle)
    context = RunContext(site, view.lock, catalog_of(site, view.lock), view.facts, secrets, bundle)
    with held_cluster(run, site, decided.found) as now:
        guest_view(site, view.lock, now, secrets).refuse()
        execute_guest(run, view.plan, context, decided.found)
    write_lock(site_dir(site.name) / "lock.yaml", view.lock)
