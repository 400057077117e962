"""Why a step is needed on a host, as one sentence; putting steps together is in aiplat.plan.make."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aiplat.plan.inputs import START
from aiplat.plan.models import HostFacts, LedgerStep
from aiplat.plan.role_variables import PlaneRelease, RoleVariables, SharedGpus
from aiplat.vault.generated import OF_COMPONENT

# More than this many causes are counted, not listed.
_SHOWN = 3
_ADDRESSES = {"node_ip": "its address changed", "server_url": "the server's address changed"}
_FORGOTTEN = (
    "the cluster has a node of this name from before, which is deleted first: "
    "what its local volumes held is lost"
)


def reason_for(
    variables: RoleVariables,
    inputs: Mapping[str, str],
    facts: HostFacts,
    nodes: Collection[str] = (),
    rotations: Mapping[str, str] | None = None,
) -> str:
    """Return why the role has something to do on the host, or an empty string.

    It has when the host's ledger has no such step, when its inputs differ from those recorded, when the
    probe saw drift, or when the cluster lacks a release. `nodes` are the cluster's, by name; `rotations` say
    of inputs why they differ.
    """
    recorded = facts.ledger.steps.get(variables.role) if facts.ledger else None
    if recorded is None:
        if isinstance(variables, SharedGpus):
            return _sentence([f"GPUs of {node.name}: {node.says}" for node in variables.nodes])
        stranger = variables.role == "k3s_agent" and facts.host in nodes and not facts.node_password
        return _sentence(["not installed yet", *([_FORGOTTEN] if stranger else [])])
    causes = [*changed_inputs(recorded, inputs, rotations or {}), *_drift(variables.role, facts)]
    if variables.role == "k3s_server" and _another_k3s(recorded, inputs):
        causes.insert(1, "the k3s that runs and its datastore are kept first")
    if isinstance(variables, SharedGpus) and nodes:
        causes += [f"{node.name} joins the cluster" for node in variables.nodes if node.name not in nodes]
    if isinstance(variables, PlaneRelease):
        causes += _release_causes(variables, facts, inputs_say_why=bool(causes))
    return _sentence(list(dict.fromkeys(causes)))


def changed_inputs(
    recorded: LedgerStep, wanted: Mapping[str, str], said: Mapping[str, str] | None = None
) -> list[str]:
    """Return a phrase for every input that was added, removed or changed since the step last finished."""
    names = sorted(set(recorded.inputs) | set(wanted))
    return [
        (said or {}).get(name) or _phrase(name, recorded.inputs.get(name), wanted.get(name))
        for name in names
        if name != START and recorded.inputs.get(name) != wanted.get(name)
    ]


def _another_k3s(recorded: LedgerStep, wanted: Mapping[str, str]) -> bool:
    return recorded.inputs.get("artifact:k3s", "") not in ("", wanted.get("artifact:k3s"))


def _phrase(name: str, before: str | None, after: str | None) -> str:
    kind, _, what = name.partition(":")
    if name == "role":
        return "aiplat does this step differently now"
    if kind in {"artifact", "chart"}:
        return _version_phrase(f"chart of {what}" if kind == "chart" else what, before, after)
    if kind in {"gpus", "values"}:
        return f"values of {what} changed" if kind == "values" else _gpus_phrase(what, before, after)
    if kind == "secret" and what.startswith(OF_COMPONENT):
        return f"secret {what.removeprefix(OF_COMPONENT)} {'changed' if before else 'is new'}"
    if kind == "variable" and what in _ADDRESSES:
        return _ADDRESSES[what]
    return f"{what} changed" if kind == "secret" else f"setting {what} changed"


def _gpus_phrase(node: str, before: str | None, after: str | None) -> str:
    """Return what a node offers of its GPUs, after what it offered."""
    if after is None:
        return f"GPUs of {node} are left as they are"
    return f"GPUs of {node}: {before} → {after}" if before else f"GPUs of {node}: {after}"


def _version_phrase(what: str, before: str | None, after: str | None) -> str:
    if before is None:
        return f"{what} is new"
    if after is None:
        return f"{what} is no longer wanted"
    old, new = before.rpartition("@")[0], after.rpartition("@")[0]
    if old != new:
        return f"{what} {old} → {new}"
    return f"{what} {new} {'is to be rebuilt' if after.endswith('@') else 'was rebuilt'}"


def _drift(role: str, facts: HostFacts) -> list[str]:
    seen = (line.partition(": ") for line in facts.drift)
    return [f"drift: {problem}" for step, _, problem in seen if step == role]


def _release_causes(variables: PlaneRelease, facts: HostFacts, *, inputs_say_why: bool) -> list[str]:
    if not facts.nodes_ready:
        return []  # the cluster does not answer: that is drift of k3s, not of what is in it
    there = {(r.namespace, r.name): r for r in facts.releases}
    causes = []
    for wanted in variables.releases:
        seen = there.get((wanted.namespace, wanted.name))
        if seen is None:
            causes.append(f"release {wanted.name} is not in the cluster")
        elif seen.status != "deployed":
            causes.append(f"release {wanted.name} is {seen.status}")
        elif seen.inputs != wanted.inputs and not inputs_say_why:
            causes.append(f"release {wanted.name} was not made from this chart and values")
    return causes


def _sentence(causes: list[str]) -> str:
    shown = causes[:_SHOWN]
    more = len(causes) - len(shown)
    return "; ".join([*shown, f"and {more} more"] if more else shown)
