"""Whether some node of the cluster can ever run what a Model asks for; says in sentences why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aiplat.cluster.quantity import amount, in_bytes, plain

Asked = Mapping[str, str | int]

GPU = "nvidia.com/gpu"
NVIDIA = "nvidia.com/"
"""What the names of NVIDIA's resources begin with: whole cards, shares of them, MIG instances."""
# Set by NVIDIA's feature discovery, and by what stands in for it.
_STRATEGY = "nvidia.com/gpu.sharing-strategy"
SIMULATED = "aiplat.dev/simulated-gpu"
"""The label of a node whose GPUs are made up by a device plugin of tests."""
# Seconds that a pod stays where its node went away; set by Kubernetes itself on every pod.
_ALWAYS_TOLERATED = "node.kubernetes.io/"


@dataclass(frozen=True)
class Machine:
    """A node: what pods may take of it in all, its labels and the taints that keep pods away."""

    name: str
    allocatable: Mapping[str, Decimal]
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, Any], ...] = ()

    def for_one_pod(self, resource: str) -> Decimal:
        """Return how much of a resource one pod may have: of the shares of a card, one."""
        has = self.allocatable.get(resource, Decimal(0))
        shared = resource == GPU and self.labels.get(_STRATEGY, "none") != "none"
        return min(has, Decimal(1)) if shared else has


def machine_of(node: Mapping[str, Any]) -> Machine:
    """Return a node of the API as a machine."""
    allocatable = node.get("status", {}).get("allocatable", {})
    return Machine(
        name=node["metadata"]["name"],
        allocatable={name: amount(value) for name, value in allocatable.items()},
        labels=node["metadata"].get("labels", {}),
        taints=tuple(node.get("spec", {}).get("taints", ())),
    )


def misfits(
    asked: Asked,
    machines: Sequence[Machine],
    selector: Mapping[str, str] | None = None,
    tolerations: Iterable[Mapping[str, Any]] = (),
) -> list[str]:
    """Return why no node can run it, one sentence a resource; empty where one can, were it free."""
    usable = [m for m in machines if _admits(m, selector or {}, list(tolerations))]
    if not usable:
        return [_nowhere(machines, selector or {})]
    said = [s for name, value in asked.items() if (s := _misfit(name, amount(value), usable))]
    if not said and not any(_holds(m, asked) for m in usable):
        together = " and ".join(spoken(name, amount(value)) for name, value in asked.items())
        said = [f"asks {together}, no one node has them all"]
    return said


def able_to_run(
    asked: Asked,
    machines: Sequence[Machine],
    selector: Mapping[str, str] | None = None,
    tolerations: Iterable[Mapping[str, Any]] = (),
) -> list[Machine]:
    """Return the nodes that could run it, were they free."""
    tolerated = list(tolerations)
    return [m for m in machines if _admits(m, selector or {}, tolerated) and _holds(m, asked)]


def card_mib(machine: Machine, resource: str = GPU) -> int | None:
    """Return the memory of a node's GPUs, or of its MIG instances of one profile; None where nobody says.

    Feature discovery labels nodes with it.
    """
    said = machine.labels.get(f"{resource}.memory", "")
    return int(said) if said.isdecimal() else None


def spoken(resource: str, value: Decimal) -> str:
    """Return an amount of a resource as people say it: `4 CPU`, `8Gi of memory`, `1 nvidia.com/gpu`."""
    if resource == "cpu":
        return f"{plain(value)} CPU"
    if resource in {"memory", "ephemeral-storage"}:
        return f"{in_bytes(value)} of {resource}"
    return f"{plain(value)} {resource}"


def listed(asked: Asked) -> str:
    """Return amounts as people say them, one after the other."""
    return ", ".join(spoken(name, amount(value)) for name, value in asked.items()) or "nothing"


def _misfit(resource: str, value: Decimal, machines: Sequence[Machine]) -> str:
    largest = max(m.for_one_pod(resource) for m in machines)
    if value <= largest:
        return ""
    asks = f"asks {spoken(resource, value)}"
    if not largest:
        return f"{asks}, no node has one{_others(resource, machines)}"
    if value <= max(m.allocatable.get(resource, Decimal(0)) for m in machines):
        return f"{asks}, which are shares of cards there: a pod gets one, and a second would give it nothing"
    return f"{asks}, the largest node has {_bare(resource, largest)}"


def _others(resource: str, machines: Sequence[Machine]) -> str:
    """Return what nodes have instead of one of NVIDIA's resources that none of them has."""
    if not resource.startswith(NVIDIA):
        return ""
    most: dict[str, Decimal] = {}
    for machine in machines:
        for name, value in machine.allocatable.items():
            if name.startswith(NVIDIA) and value:
                most[name] = max(value, most.get(name, Decimal(0)))
    return f" (the largest have {listed({n: plain(v) for n, v in sorted(most.items())})})" if most else ""


def _bare(resource: str, value: Decimal) -> str:
    return in_bytes(value) if resource in {"memory", "ephemeral-storage"} else plain(value)


def _holds(machine: Machine, asked: Asked) -> bool:
    return all(amount(v) <= machine.for_one_pod(name) for name, v in asked.items())


def _admits(machine: Machine, selector: Mapping[str, str], tolerations: list[Mapping[str, Any]]) -> bool:
    fits = all(machine.labels.get(key) == value for key, value in selector.items())
    barred = [t for t in machine.taints if t.get("effect") in {"NoSchedule", "NoExecute"}]
    # A node that is ill for a moment is not a reason to refuse a Model for good.
    lasting = [t for t in barred if not str(t["key"]).startswith(_ALWAYS_TOLERATED)]
    return fits and all(any(_tolerates(t, taint) for t in tolerations) for taint in lasting)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in {None, "", taint["effect"]}:
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in {None, "", taint["key"]}
    same_value = toleration.get("value", "") == taint.get("value", "")
    return bool(toleration.get("key") == taint["key"] and same_value)


def _nowhere(machines: Sequence[Machine], selector: Mapping[str, str]) -> str:
    if not machines:
        return "the cluster has no node"
    labels = ", ".join(f"{key}={value}" for key, value in selector.items())
    if labels and not any(_admits(Machine(m.name, {}, m.labels), selector, []) for m in machines):
        return f"wants a node labelled {labels}, no node is"
    return "no node lets it in: every node has a taint that it does not tolerate"
