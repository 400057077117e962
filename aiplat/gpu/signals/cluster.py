"""What Kubernetes, the device plugin and the GPU operator say of a node's GPUs; drivers are elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from aiplat.gpu.facts import Evidence, Fact

_SECTION = re.compile(r"^\s*(Capacity|Allocatable|Allocated resources|Labels)\b:?", re.IGNORECASE)
_RESOURCE = re.compile(r"[\"']?\bnvidia\.com/(gpu(?:\.shared)?|mig-[\w.]+)[\"']?\s*[:=]\s*[\"']?(\d+)")
_REPLICAS = re.compile(r"\breplicas:\s*(\d+)")
_SHARING = re.compile(r"\b(?:timeSlicing|time-slicing|mps)\b", re.IGNORECASE)
_NODE_SECTION = re.compile(
    r"^\s*[\"']?(?:cpu|memory|ephemeral-storage|pods|hugepages-\w+)[\"']?\s*:", re.MULTILINE
)
_TEGRA = re.compile(
    r"\(nvgpu\)|\btegra\b(?! platform)|\bJetson\b|\bL4T\b|nv_tegra_release|/soc0/family.{0,10}Tegra|"
    r"\b(?:Orin|Xavier|Thor)\b",
    re.IGNORECASE,
)
_NOT_TEGRA = re.compile(r"non-Tegra platform[^\n]{0,120}", re.IGNORECASE)


@dataclass(frozen=True)
class Resource:
    """A count of a resource on a node, as capacity or allocatable."""

    name: str
    count: int
    section: str
    evidence: Evidence


@dataclass(frozen=True)
class ClusterSignals:
    """What a node offers, what sharing was asked for, and whether this is a Jetson."""

    resources: tuple[Resource, ...]
    without_gpu: Evidence | None
    replicas: int | None
    replicas_evidence: Evidence | None
    tegra: Evidence | None

    def counts(self, pattern: str, section: str = "allocatable") -> tuple[Resource, ...]:
        """Return the resources whose name matches, of allocatable or else of any section."""
        named = [resource for resource in self.resources if re.fullmatch(pattern, resource.name)]
        of_section = [resource for resource in named if resource.section == section]
        return tuple(of_section or named)


def read_cluster(facts: Iterable[Fact]) -> ClusterSignals:
    """Return what Kubernetes says of the node."""
    known = tuple(facts)
    sharing = next((asked for fact in known if (asked := _sharing(fact))), None)
    return ClusterSignals(
        resources=tuple(resource for fact in known for resource in _resources(fact)),
        without_gpu=next(filter(None, map(_node_without_gpu, known)), None),
        replicas=sharing[0] if sharing else None,
        replicas_evidence=sharing[1] if sharing else None,
        tegra=next(filter(None, map(_tegra, known)), None),
    )


def _resources(fact: Fact) -> list[Resource]:
    section, found = "", []
    for line in fact.lines:
        heading = _SECTION.match(line) or re.match(r"^\s*[\"'](capacity|allocatable)[\"']", line)
        if heading:
            section = heading[1].lower()
        for name, count in _RESOURCE.findall(line):
            if "limits" not in line and section not in ("allocated resources", "labels"):
                found.append(Resource(name, int(count), section, fact.evidence(line)))
    return found


def _node_without_gpu(fact: Fact) -> Evidence | None:
    text = "\n".join(fact.lines)
    is_node = re.search(r"(?:capacity|allocatable)", text + fact.command, re.IGNORECASE)
    match = _NODE_SECTION.search(text) if is_node and not _resources(fact) else None
    return fact.evidence(text[max(0, match.start() - 60) : match.start() + 160]) if match else None


def _sharing(fact: Fact) -> tuple[int, Evidence] | None:
    text = "\n".join(fact.lines)
    sharing = _SHARING.search(text)
    match = _REPLICAS.search(text, sharing.end()) if sharing else None
    return (int(match[1]), fact.evidence(text[sharing.start() : match.end()])) if sharing and match else None


def _tegra(fact: Fact) -> Evidence | None:
    text = _NOT_TEGRA.sub("", fact.flow)
    match = _TEGRA.search(text) or _TEGRA.search(fact.command)
    return fact.evidence(match.string[max(0, match.start() - 40) : match.end() + 40]) if match else None
