"""`aiplat reset` where the cluster is not aiplat's: takes out what aiplat put there; the vault stays here."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from aiplat.actions.bootstrap_guest import RunWatcher
from aiplat.actions.ending import end_of_removal, tell
from aiplat.actions.guest_look import held_cluster, look_at_guest, see_free
from aiplat.actions.known_lock import bundle_of, known_lock, no_lock
from aiplat.actions.plan import PlanView
from aiplat.actions.reported_run import reported_run
from aiplat.actions.summary import Summary
from aiplat.bundle.bundle import bundle_path
from aiplat.content import digest_of, sha256_file
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.plan.guest_plan import RELEASE, GuestFacts, other_cluster, this_machine
from aiplat.plan.make import OPERATOR
from aiplat.plan.models import Plan, Step
from aiplat.plan.packages import content_digest
from aiplat.plan.role_variables import ClusterReset
from aiplat.runs.run import Run
from aiplat.site.models import Site
from aiplat.state import address_file, ledger_file, private_dir, programs_dir, site_dir

STEP = "cluster_reset"
PROGRAMS = ("helm", "k3s")
"""What takes things out; k3s' program is kubectl too."""


def reset_guest(site: Site, watcher: RunWatcher) -> Summary:
    """Take everything of aiplat's out of a site's existing cluster; what its registry was given stays there.

    Raises:
        BadInput: what is there is not this site's; nothing was changed.
        ClusterUnreachable: the cluster does not answer, or does not let us in.
        LeaseError: another machine's run changes the cluster.
        StepError: something failed or is left.
    """
    began = time.monotonic()
    with reported_run(site, "reset", watcher.on_event) as run:
        found = look_at_guest(site, None)
        see_free(found)
        see_own(site, found)
        # What is taken out is found in the cluster: nothing of a lock says what.
        view = PlanView(_plan(site, found), no_lock(site), found.facts, (), assumed=False)
        tell(run, view.plan)
        if not view.plan.nothing_to_do:
            if watcher.agree(view):
                with held_cluster(run, site, found) as now:
                    see_own(site, now)
                    _carry_out(run, site, view.plan, found)
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
        findings.append(Finding(found.where, problem, fix))
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


def _carry_out(run: Run, site: Site, plan: Plan, found: GuestFacts) -> None:
    # Loading Ansible's runner takes a third of a second, which the other verbs need not wait.
    from aiplat.runs.execute_guest import play_here  # noqa: PLC0415

    play_here(run, site, plan, [_programs(site, found)], {})
    after = look_at_guest(site, None)
    left = _leftovers(after.model_copy(update={"there": after.there.model_copy(update={"ledger": None})}))
    if left:
        raise AiplatError(Finding(after.where, f"something is left: {left}", "run it again"))
    _forget(site)
    run.notes.append(_stays(site))


def _programs(site: Site, found: GuestFacts) -> ClusterReset:
    """Return with which Helm and kubectl: those that installed, by the ledger; else those of the bundle."""
    folder, blobs = str(private_dir(programs_dir(site.name))), str(bundle_path(site) / "blobs")
    if here := _recorded(site, found):
        return ClusterReset(blobs=blobs, helm=here["helm"], kubectl=here["k3s"], programs=folder)
    arch, lock = this_machine().arch, known_lock(site, judged=False)
    return ClusterReset(
        blobs=str(bundle_of(site).path / "blobs"),
        helm=content_digest(lock.hostfile("helm", arch)),
        kubectl=content_digest(lock.hostfile("k3s", arch)),
        programs=folder,
    )


def _recorded(site: Site, found: GuestFacts) -> dict[str, str]:
    """Return the digests of the programs that installed, if they are still here as they were recorded."""
    step = found.there.ledger.steps.get(RELEASE) if found.there.ledger else None
    known = {Path(path).name: f"sha256:{file.sha256}" for path, file in step.files.items()} if step else {}
    files = {name: programs_dir(site.name) / name for name in PROGRAMS}
    whole = all(files[name].is_file() and sha256_file(files[name]) == known.get(name) for name in PROGRAMS)
    return known if whole else {}


def _forget(site: Site) -> None:
    """Remove what is recorded here of the cluster, and the programs for it."""
    for path in (ledger_file(site.name), address_file(site.name), site_dir(site.name) / "kubeconfig"):
        path.unlink(missing_ok=True)
    shutil.rmtree(programs_dir(site.name), ignore_errors=True)


def _stays(site: Site) -> str:
    kept = f"in {site.cluster.registry}, and " if site.cluster.registry else ""
    return f"images and models stay {kept}on nodes that have them until their kubelet clears up"
