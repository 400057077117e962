"""`aiplat reset` where the cluster is not aiplat's: takes out what aiplat put there; the vault stays here."""

from __future__ import annotations

import shutil
import time

from aiplat.actions.bootstrap_guest import RunWatcher
from aiplat.actions.ending import end_of_removal, tell
from aiplat.actions.guest_look import look_at_guest
from aiplat.actions.known_lock import bundle_of, known_lock
from aiplat.actions.plan import PlanView
from aiplat.actions.reported_run import reported_run
from aiplat.actions.summary import Summary
from aiplat.content import digest_of
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.plan.guest_plan import GuestFacts, other_cluster, this_machine
from aiplat.plan.make import OPERATOR
from aiplat.plan.models import Plan, Step
from aiplat.plan.packages import content_digest
from aiplat.plan.role_variables import ClusterReset
from aiplat.runs.run import Run
from aiplat.site.models import Site
from aiplat.state import ledger_file, private_dir, programs_dir, site_dir

STEP = "cluster_reset"


def reset_guest(site: Site, watcher: RunWatcher) -> Summary:
    """Take everything of aiplat's out of a site's existing cluster; what its registry was given stays there.

    Raises:
        BadInput: the cluster does not let us in, or what is there is not this site's; nothing was changed.
        StepError: something failed or is left.
    """
    began = time.monotonic()
    with reported_run(site, "reset", watcher.on_event) as run:
        lock = known_lock(site, judged=False)
        found = look_at_guest(site, lock)
        see_own(site, found)
        view = PlanView(_plan(site, found), lock, found.facts, (), assumed=False)
        tell(run, view.plan)
        if not view.plan.nothing_to_do:
            if watcher.agree(view):
                _carry_out(run, site, view)
            else:
                run.state = "declined"
        return end_of_removal(run, site, "reset", began)


def see_own(site: Site, found: GuestFacts) -> None:
    """Stop where what is in the cluster was not put there from here: it may be somebody else's platform.

    Raises:
        BadInput: it is another cluster than the one recorded, or nothing is recorded of what is there.
    """
    findings = other_cluster(site, found)
    if found.there.ledger is None and (there := _leftovers(found)):
        problem = f"holds a platform ({there}), and that {site.name} put it there is not recorded here"
        fix = "reset it on the machine that installed it, or take it out by helm and kubectl"
        findings.append(Finding(f"cluster {found.seen.server}", problem, fix))
    if findings:
        raise BadInput(findings)


def _plan(site: Site, found: GuestFacts) -> Plan:
    reason = _leftovers(found)
    step = Step(
        id=STEP,
        title="Take out of the cluster what aiplat put there",
        hosts=(OPERATOR,),
        reason={OPERATOR: reason},
        inputs={OPERATOR: {}},
    )
    based_on = {"site": digest_of(site.model_dump(mode="json", by_alias=True)), "found": digest_of(reason)}
    return Plan(site=site.name, verb="reset", steps=(step,) if reason else (), based_on=based_on)


def _leftovers(found: GuestFacts) -> str:
    """Return what of aiplat is in the cluster or recorded here, as a phrase; empty where there is nothing."""
    said = [f"{len(found.there.releases)} releases"] if found.there.releases else []
    spaces = ", ".join(found.seen.ours)
    said += [f"namespaces with all that anybody put into them, volumes too: {spaces}"] if spaces else []
    return "; ".join(said or (["what is recorded here of it"] if found.there.ledger else []))


def _carry_out(run: Run, site: Site, view: PlanView) -> None:
    # Loading Ansible's runner takes a third of a second, which the other verbs need not wait.
    from aiplat.runs.execute_guest import play_here  # noqa: PLC0415

    arch = this_machine().arch
    variables = ClusterReset(
        blobs=str(bundle_of(site).path / "blobs"),
        helm=content_digest(view.lock.hostfile("helm", arch)),
        kubectl=content_digest(view.lock.hostfile("k3s", arch)),
        programs=str(private_dir(programs_dir(site.name))),
    )
    play_here(run, site, view.plan, [variables], {})
    after = look_at_guest(site, view.lock)
    left = _leftovers(after.model_copy(update={"there": after.there.model_copy(update={"ledger": None})}))
    if left:
        raise AiplatError(
            Finding(f"cluster {after.seen.server}", f"something is left: {left}", "run it again")
        )
    _forget(site)
    run.notes.append(_stays(site))


def _forget(site: Site) -> None:
    """Remove what is recorded here of the cluster, and the programs for it."""
    for path in (ledger_file(site.name), site_dir(site.name) / "kubeconfig"):
        path.unlink(missing_ok=True)
    shutil.rmtree(programs_dir(site.name), ignore_errors=True)


def _stays(site: Site) -> str:
    kept = f"in {site.cluster.registry}, and " if site.cluster.registry else ""
    return f"images and models stay {kept}on nodes that have them until their kubelet clears up"
