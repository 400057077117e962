"""Carries a plan out: checks what will be moved, holds the lease, stages, plays; it decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.check import verify
from aiplat.catalog.artifacts import Blob, Digest, Lock
from aiplat.errors import BadInput, Finding
from aiplat.fleet.ansible import run_playbook
from aiplat.fleet.disks import full_disks
from aiplat.fleet.inventory import write_run_folder
from aiplat.fleet.lease import hold_lease
from aiplat.fleet.transfer import prune_blobs, push_blobs
from aiplat.plan.make import OPERATOR
from aiplat.plan.models import Plan, Step
from aiplat.plan.role_variables import RoleVariables
from aiplat.plan.staging import missing_blobs, wanted_blobs
from aiplat.plan.variables import role_variables
from aiplat.runs.context import RunContext, private_variables
from aiplat.runs.events import Progress
from aiplat.runs.plays import Plays
from aiplat.runs.run import Run, StepError
from aiplat.site.models import Site

PYTHON_STEPS = frozenset({"bundle", "stage"})
# Progress is for people and for a journal that is read by people: five times a second is enough.
_PROGRESS_SECONDS = 0.2


def execute(run: Run, plan: Plan, context: RunContext) -> None:
    """Do what the plan says, in its order; `run.changed` counts what changed.

    Raises:
        BadInput: the bundle is damaged; no host was touched.
        StepError: a step failed; the next run continues from there.
        AiplatError: another run holds the hosts.
    """
    steps = {step.id: step for step in plan.steps}
    missing = _missing(context)
    if "bundle" in steps:
        with run.step("bundle", steps["bundle"].title, steps["bundle"].hosts):
            check_bundle(run, context.bundle, involved_blobs(context.lock, missing))
    names, reboots = [host.name for host in context.site.hosts], _reboots(steps)
    with hold_lease(context.site, run.id, names, reboots=reboots):
        if "stage" in steps:
            with run.step("stage", steps["stage"].title, steps["stage"].hosts):
                _stage(run, context, missing)
        elif context.bundle.signed and not PYTHON_STEPS.issuperset(steps):
            _stage(run, context, {})
        if not PYTHON_STEPS.issuperset(steps):
            with _full_disks_named(context.site):
                _play(run, plan, context, steps)
        if "stage" in steps:
            # Only now nothing on the hosts is made of what an earlier lock named.
            wanted = wanted_blobs(context.site, context.lock)
            prune_blobs(context.site, {h: [b.digest for b in blobs] for h, blobs in wanted.items()}, run.id)


def _reboots(steps: Mapping[str, Step]) -> tuple[str, ...]:
    return steps["host_reboot"].hosts if "host_reboot" in steps else ()


@contextmanager
def _full_disks_named(site: Site) -> Iterator[None]:
    """Where a step fails and a disk is full, say so first: what failed may call it anything."""
    try:
        yield
    except StepError as error:
        if full := full_disks(site):
            raise StepError([*full, *error.findings]) from error
        raise


def _missing(context: RunContext) -> dict[str, tuple[Blob, ...]]:
    wanted = wanted_blobs(context.site, context.lock)
    missing = {host: missing_blobs(blobs, context.facts.host(host)) for host, blobs in wanted.items()}
    return {host: blobs for host, blobs in missing.items() if blobs}


def involved_blobs(lock: Lock, missing: Mapping[str, Sequence[Blob]]) -> set[Digest]:
    """Return the digests of all blobs of every artifact of which something will be moved.

    A host file's manifest stays here, but whoever altered it may have meant the file.
    """
    moved = {blob.digest for blobs in missing.values() for blob in blobs}
    artifacts = (a for a in lock.artifacts if not moved.isdisjoint(b.digest for b in a.blobs))
    return {blob.digest for artifact in artifacts for blob in artifact.blobs}


def check_bundle(run: Run, bundle: Bundle, digests: Collection[Digest]) -> None:
    """Hash these blobs and the bundle's own files.

    Raises:
        BadInput: naming each file that is missing or altered.
    """
    report = throttled(run, "bundle")
    findings = verify(
        bundle.path, digests, lambda done, total: report(OPERATOR, done, total), bundle.document
    )
    if findings:
        raise BadInput([Finding(f"{bundle.path}/{f.where}", f.problem, f.fix) for f in findings])


def throttled(run: Run, step: str) -> Callable[[str, int, int], None]:
    """Return a reporter of progress (host, done, total) that passes on what people can read."""
    said: dict[str, float] = {}

    def report(host: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - said.get(host, 0.0) >= _PROGRESS_SECONDS:
            said[host] = now
            run.emit(Progress(step=step, host=host, done=done, total=total))

    return report


def _stage(run: Run, context: RunContext, missing: Mapping[str, Sequence[Blob]]) -> None:
    bundle, wanted = context.bundle, missing
    if bundle.signed:
        # A host judges what it installs from, also where it has all of that already.
        wanted = {host.name: missing.get(host.name, ()) for host in context.site.hosts}
    moved = push_blobs(context.site, wanted, bundle, run.id, throttled(run, "stage"))
    run.changed += sum(1 for size in moved.values() if size)


def by_ansible(plan: Plan) -> Plan:
    """Return the part of a plan that playbooks carry out, on the site's own hosts."""
    return plan.model_copy(update={"steps": tuple(s for s in plan.steps if s.id not in PYTHON_STEPS)})


def _play(run: Run, plan: Plan, context: RunContext, steps: Mapping[str, Step]) -> None:
    variables = role_variables(context.site, context.lock, context.catalog, context.public, context.facts)
    chosen: dict[str, Sequence[RoleVariables]] = {
        host: [role for role in roles if role.role in steps and host in steps[role.role].hosts]
        for host, roles in variables.items()
    }
    plays = Plays(run, steps)
    private = private_variables(context)
    played = by_ansible(plan)
    with (
        write_run_folder(context.site, played, run.id, chosen, private) as folder,
        run.stop.at_safe_points(),
    ):
        outcome = run_playbook("bootstrap", folder, plays.take, run.stop)
    plays.end(outcome)
