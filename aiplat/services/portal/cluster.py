"""What the cluster tells the portal: Models and nodes, and what of them needs attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiplat.cluster.declared import DeclaredModel, declared_models
from aiplat.cluster.parse import pressures
from aiplat.cluster.raw import RawObjects
from aiplat.errors import AiplatError

_WELL = {"Serving", "Idle"}


@dataclass(frozen=True)
class NodeSeen:
    """A node, whether it is ready and why not, and what it is short of."""

    name: str
    ready: bool
    message: str
    version: str
    cordoned: bool
    pressures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Concern:
    """What needs attention: where, what is wrong, and the command that says or does more."""

    where: str
    problem: str
    command: str


@dataclass(frozen=True)
class ClusterSeen:
    """One look at the cluster; `fault` says why there was none."""

    models: tuple[DeclaredModel, ...] = ()
    nodes: tuple[NodeSeen, ...] = ()
    fault: str = ""

    def troubles(self) -> Iterator[Concern]:
        """Yield what needs attention, the gravest first."""
        if self.fault:
            yield Concern("cluster", self.fault, "aiplat status")
        for node in self.nodes:
            if not node.ready:
                yield Concern(f"node {node.name}", f"is not ready: {node.message}", "aiplat doctor hosts")
            elif node.cordoned:
                yield Concern(f"node {node.name}", "takes no new pods", f"kubectl uncordon {node.name}")
            for pressure in node.pressures:
                yield Concern(f"node {node.name}", pressure, "aiplat status")
        for model in self.models:
            if model.state not in _WELL:
                said = f"{model.state or 'unseen'}: {model.message}"
                yield Concern(
                    f"model {model.served_as or model.name}", said, f"aiplat model logs {model.name}"
                )


def look(objects: RawObjects) -> ClusterSeen:
    """Return the Models and nodes of a cluster; a cluster that does not answer is a fault, not an error."""
    try:
        models = tuple(sorted(declared_models(objects), key=lambda m: (m.served_as, m.title)))
        return ClusterSeen(models, tuple(map(_node, objects.listed("Node"))))
    except AiplatError as error:
        return ClusterSeen(fault="; ".join(str(finding) for finding in error.findings))


def _node(document: dict[str, Any]) -> NodeSeen:
    status = document.get("status", {})
    ready: dict[str, Any] = next((c for c in status.get("conditions", []) if c.get("type") == "Ready"), {})
    return NodeSeen(
        name=document["metadata"]["name"],
        ready=ready.get("status") == "True",
        message=ready.get("message", "its kubelet has told nothing yet"),
        version=status.get("nodeInfo", {}).get("kubeletVersion", ""),
        cordoned=bool(document.get("spec", {}).get("unschedulable")),
        pressures=pressures(status),
    )
