"""`aiplat reset`: takes off the hosts what aiplat put there and proves it; the vault stays here."""

from __future__ import annotations

import time

from aiplat.actions.bootstrap import Watcher
from aiplat.actions.ending import end_of_removal, tell
from aiplat.actions.known_lock import known_lock, no_lock
from aiplat.actions.plan import PlanView
from aiplat.actions.reported_run import reported_run
from aiplat.actions.reset_guest import reset_guest
from aiplat.actions.summary import Summary
from aiplat.catalog.artifacts import Lock
from aiplat.content import digest_of
from aiplat.errors import Finding
from aiplat.fleet.probe import gather_facts
from aiplat.hosts.paths import paths_of
from aiplat.plan.models import Facts, HostFacts, Plan, Step
from aiplat.plan.role_variables import HostReset
from aiplat.runs.playbook import play_plan
from aiplat.runs.run import Run, StepError
from aiplat.site.models import Site
from aiplat.state import site_dir

STEP = "host_reset"


def reset(site: Site, watcher: Watcher, *, keep_models: bool) -> Summary:
    """Bring a site's hosts back to what they were before aiplat, except models' weights if `keep_models`.

    Raises:
        PlanRefusedError: a host could not be looked at; nothing was changed.
        StepError: something failed or is left.
    """
    if site.is_guest:
        return reset_guest(site, watcher)
    began = time.monotonic()
    with reported_run(site, "reset", watcher.on_event) as run:
        lock = known_lock(site, judged=False) if keep_models else no_lock(site)
        facts = gather_facts(site)
        kept = model_blobs(lock) if keep_models else ()
        view = PlanView(reset_plan(site, facts, kept), lock, facts, _unreachable(facts), assumed=False)
        tell(run, view.plan)
        view.refuse()
        if not view.plan.nothing_to_do:
            if watcher.agree(view):
                _carry_out(run, site, view.plan, kept)
            else:
                run.state = "declined"
        if run.state == "done":
            (site_dir(site.name) / "kubeconfig").unlink(missing_ok=True)
        return end_of_removal(run, site, "reset", began)


def model_blobs(lock: Lock) -> tuple[str, ...]:
    """Return the digests of all blobs of the site's models."""
    return tuple(dict.fromkeys(blob.digest for model in lock.of("model") for blob in model.blobs))


def reset_plan(site: Site, facts: Facts, kept: tuple[str, ...]) -> Plan:
    """Return the plan that clears every host which has something of aiplat's, agents before servers."""
    reasons = {host.host: reason for host in facts.hosts if (reason := leftovers(host, kept))}
    # Agents leave a cluster that is still there.
    agents_first = sorted(site.hosts, key=lambda host: host.role == "server")
    hosts = tuple(host.name for host in agents_first if host.name in reasons)
    step = Step(
        id=STEP,
        title="Take off what aiplat put there",
        hosts=hosts,
        reason=reasons,
        inputs={host: {} for host in hosts},
    )
    based_on = {"site": digest_of(site.model_dump(mode="json", by_alias=True)), "kept": digest_of(list(kept))}
    return Plan(site=site.name, verb="reset", steps=(step,) if hosts else (), based_on=based_on)


def leftovers(host: HostFacts, kept: tuple[str, ...]) -> str:
    """Return what of aiplat is on a host, as a phrase; empty where there is nothing."""
    blobs = len(set(host.blobs) - set(kept))
    found = []
    if host.ledger:
        found.append(f"{len(host.ledger.steps)} steps are installed")
    if host.units:
        found.append(f"units {', '.join(sorted(host.units))}")
    if blobs:
        found.append(f"{blobs} blobs are staged")
    # What is kept stays where it is, and so does the record of where that is.
    if host.data_dir and not kept:
        found.append(f"its data folder is {host.data_dir}")
    return "; ".join(found)


def _unreachable(facts: Facts) -> tuple[Finding, ...]:
    return tuple(
        Finding(host.host, host.problem.removeprefix(f"{host.host}: "))
        for host in facts.hosts
        if not host.reachable
    )


def _carry_out(run: Run, site: Site, plan: Plan, kept: tuple[str, ...]) -> None:
    variables = {
        host.name: [HostReset(paths=paths_of(host.data_dir), keep_blobs=kept)] for host in site.hosts
    }
    play_plan(run, site, plan, "reset", variables)
    left = {host.host: what for host in gather_facts(site).hosts if (what := leftovers(host, kept))}
    if left:
        raise StepError(
            [Finding(host, f"something is left: {what}", "run it again") for host, what in left.items()]
        )
