"""`make_plan(site, lock, facts) -> Plan`: what there is to do and why; what forbids it is in refusals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from aiplat.catalog.artifacts import Blob, Lock
from aiplat.catalog.catalog import Catalog
from aiplat.catalog.own_models import catalog_of
from aiplat.content import digest_of
from aiplat.gpu.decision import Decision
from aiplat.plan.gpus import decision_of, gpu_reason
from aiplat.plan.inputs import START, step_inputs
from aiplat.plan.models import Facts, HostFacts, LedgerStep, Plan, Running, Step
from aiplat.plan.reasons import reason_for
from aiplat.plan.role_variables import HostGpu, HostReboot, RoleVariables
from aiplat.plan.staging import missing_blobs, wanted_artifacts, wanted_blobs
from aiplat.plan.steps import ROLE_STEPS, step_kind
from aiplat.plan.variables import PublicParts, role_variables
from aiplat.site.models import Host, Site

OPERATOR = "operator"
"""Stands for the machine aiplat runs on where a step's hosts are named."""


@dataclass(frozen=True)
class _Known:
    """What is known beside one host: the lock, what of secrets is public, the cluster's nodes by name.

    `decided` is what is to be done about each host's GPUs.
    """

    lock: Lock
    public: PublicParts
    nodes: Collection[str]
    decided: Mapping[str, Decision | None]


@dataclass(frozen=True)
class _Need:
    """A role that has something to do on a host."""

    role: str
    host: str
    reason: str
    inputs: Mapping[str, str]
    restarts: tuple[str, ...] = ()


def make_plan(
    site: Site, lock: Lock, facts: Facts, public: PublicParts | None = None, catalog: Catalog | None = None
) -> Plan:
    """Return the ordered steps that take the hosts from what was seen to what the site wants.

    Hosts that could not be reached are left out; `aiplat.plan.refusals` names them.
    """
    public = public or PublicParts()
    variables = role_variables(site, lock, catalog or catalog_of(site, lock), public, facts)
    seen = [f for f in facts.hosts if f.reachable]
    hosts = {host.name: host for host in site.hosts}
    decided = {f.host: decision_of(site, hosts[f.host], lock, f) for f in seen}
    known = _Known(lock, public, {name for f in seen for name in f.nodes}, decided)
    needs = [need for f in seen for need in _needs(variables[f.host], hosts[f.host], f, known)]
    blobs = wanted_blobs(site, lock)
    missing = {f.host: missing_blobs(blobs[f.host], f) for f in seen}
    steps = [*_bundle_steps(lock, missing), *_stage_steps(site, lock, missing), *_role_steps(needs, facts)]
    based_on = {
        "site": digest_of(site.model_dump(mode="json", by_alias=True)),
        "lock": digest_of(lock.model_dump(mode="json", by_alias=True)),
        "facts": digest_of(_steady(facts)),
    }
    return Plan(site=site.name, verb="bootstrap", steps=tuple(steps), based_on=based_on)


def _needs(variables: Sequence[RoleVariables], host: Host, seen: HostFacts, known: _Known) -> list[_Need]:
    found = []
    for role in variables:
        inputs = step_inputs(role, known.lock, known.public.identities, host)
        if reason := _reason(role, inputs, seen, known):
            found.append(_Need(role.role, host.name, reason, inputs, _announced(role)))
    return found


def _reason(role: RoleVariables, inputs: Mapping[str, str], seen: HostFacts, known: _Known) -> str:
    of_gpus = gpu_reason(role.role, known.decided[seen.host], seen)
    if isinstance(role, HostReboot):
        return of_gpus  # what was done before says nothing about whether it is needed now
    reason = reason_for(role, inputs, seen, known.nodes, known.public.rotations)
    return "; ".join(part for part in (reason, of_gpus) if part)


def _announced(role: RoleVariables) -> tuple[str, ...]:
    """Return what a role restarts whatever its unit was started with."""
    if isinstance(role, HostReboot):
        return ("the whole host",)
    return role.restart if isinstance(role, HostGpu) else ()


def _bundle_steps(lock: Lock, missing: Mapping[str, tuple[Blob, ...]]) -> list[Step]:
    unbuilt = [a for a in lock.artifacts if not a.digest]
    moved = sum({blob.digest: blob.size for blobs in missing.values() for blob in blobs}.values())
    if not unbuilt and not moved:
        return []
    are = "is" if len(unbuilt) == 1 else "are"
    reason = (
        f"{len(unbuilt)} of {len(lock.artifacts)} artifacts {are} not made yet"
        if unbuilt
        else f"what is moved is hashed first, {moved / 2**20:.0f} MiB"
    )
    return [Step(id="bundle", title=step_kind("bundle").title, hosts=(OPERATOR,), reason={OPERATOR: reason})]


def _stage_steps(site: Site, lock: Lock, missing: Mapping[str, tuple[Blob, ...]]) -> list[Step]:
    reasons = {}
    for host in site.hosts:
        unmade = sum(not artifact.digest for artifact in wanted_artifacts(host, lock))
        counts = [
            (len(missing.get(host.name, ())), "blob", "not there yet"),
            (unmade, "artifact", "to be made first"),
        ]
        said = [f"{_count(number, noun)} {state}" for number, noun, state in counts if number]
        if host.name in missing and said:
            reasons[host.name] = ", ".join(said)
    total = sum(blob.size for blobs in missing.values() for blob in blobs)
    stage = Step(
        id="stage", title=step_kind("stage").title, hosts=tuple(reasons), reason=reasons, bytes_to_move=total
    )
    return [stage] if reasons else []


def _role_steps(needs: Sequence[_Need], facts: Facts) -> list[Step]:
    steps = []
    for kind in ROLE_STEPS:
        mine = [need for need in needs if need.role == kind.id]
        if not mine:
            continue
        restarts = [_restart(need, facts.host(need.host)) for need in mine]
        restarts += [f"{what} on {need.host}" for need in mine for what in need.restarts]
        steps.append(
            Step(
                id=kind.id,
                title=kind.title,
                hosts=tuple(need.host for need in mine),
                reason={need.host: need.reason for need in mine},
                restarts=tuple(restart for restart in restarts if restart),
                inputs={need.host: dict(need.inputs) for need in mine},
            )
        )
    return steps


def _restart(need: _Need, host: HostFacts) -> str:
    """Return the unit that the step restarts on the host, as `unit on host`, or nothing.

    The module systemd_unit decides by the same rule: an active unit is restarted if it was started with
    other inputs, or with files of other content, than it is to run with.
    """
    unit = step_kind(need.role).unit
    if not unit or host.units.get(unit, {}).get("ActiveState") != "active":
        return ""
    recorded = host.ledger.steps.get(need.role) if host.ledger else None
    as_wanted = _as_wanted(host.running.get(unit, Running()), need.inputs[START], recorded)
    return "" if as_wanted else f"{unit} on {need.host}"


def _as_wanted(running: Running, start: str, recorded: LedgerStep | None) -> bool:
    """Whether a process was started with the inputs and file contents that it is to run with."""
    if running.content != start or not running.files:
        return False
    if recorded is None or recorded.inputs.get(START) != start:
        return True  # a run was cut off after the restart, before it could write the ledger
    known = {name: file.sha256 for name, file in recorded.files.items()}
    return all(known.get(name, digest) == digest for name, digest in running.files.items())


def _steady(facts: Facts) -> list[dict[str, object]]:
    """Return the facts without what moves by itself, so that a plan for the same world is the same plan."""
    moving = {"disk_free_mib", "memory_mib", "look", "interfaces"}
    seen = [host.model_dump(mode="json", exclude=moving) for host in facts.hosts]
    for host in seen:
        host["units"] = {name: unit.get("ActiveState") for name, unit in host["units"].items()}
        if host["gpu"]:
            del host["gpu"]["cause"]  # it counts what a log said, which grows
    return seen


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
