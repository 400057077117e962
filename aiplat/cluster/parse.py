"""Turns the API's documents into plain objects; asks the API nothing itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from aiplat.cluster.objects import (
    GPU_RESOURCES,
    HelmRelease,
    NetworkPolicy,
    Node,
    Pod,
    Service,
    Workload,
)

Document = dict[str, Any]


_SHORT = "so it ends pods and takes no others"
_PRESSURES = {
    "DiskPressure": f"its disk is nearly full, {_SHORT}",
    "MemoryPressure": f"its memory is nearly used up, {_SHORT}",
    "PIDPressure": f"it can start few more processes, {_SHORT}",
}


def pressures(status: Document) -> tuple[str, ...]:
    """Return what the status of a node says that it is short of, a sentence each."""
    true = {c["type"] for c in status.get("conditions", ()) if c["status"] == "True"}
    return tuple(said for kind, said in _PRESSURES.items() if kind in true)


def node(document: Document) -> Node:
    """Return a node."""
    status = document["status"]
    ready = _condition(status, "Ready")
    problem = "" if ready.get("status") == "True" else ready.get("message") or "says nothing of its state"
    addresses = {a["type"]: a["address"] for a in status.get("addresses", ())}
    return Node(
        name=document["metadata"]["name"],
        ready=not problem,
        version=status.get("nodeInfo", {}).get("kubeletVersion", ""),
        address=addresses.get("InternalIP", ""),
        problem=problem,
        pressures=pressures(status),
        gpus=_gpus([status.get("allocatable", {})]),
        labels=document["metadata"].get("labels", {}),
    )


def _gpus(amounts: Iterable[Document]) -> dict[str, int]:
    """Return the sums of NVIDIA's resources, of which there are whole ones only."""
    found: Counter[str] = Counter()
    for one in amounts:
        found.update({n: int(v) for n, v in one.items() if n.startswith(GPU_RESOURCES)})
    return {name: number for name, number in found.items() if number}


def workload(kind: str, document: Document) -> Workload:
    """Return a Deployment, StatefulSet or DaemonSet."""
    meta, spec, status = document["metadata"], document.get("spec", {}), document.get("status", {})
    daemon = kind == "DaemonSet"
    wanted = status.get("desiredNumberScheduled", 0) if daemon else spec.get("replicas", 1)
    updated = status.get("updatedNumberScheduled" if daemon else "updatedReplicas", 0)
    seen = status.get("observedGeneration", 0) >= meta.get("generation", 0)
    return Workload(
        kind=kind,
        namespace=meta["namespace"],
        name=meta["name"],
        wanted=wanted,
        available=status.get("numberAvailable" if daemon else "availableReplicas", 0),
        settled=seen and updated >= wanted,
        labels=meta.get("labels", {}),
        problem=_condition(status, "Available").get("message", ""),
    )


def pod(document: Document) -> Pod:
    """Return a pod."""
    meta, spec, status = document["metadata"], document["spec"], document.get("status", {})
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    volumes = [v["image"]["reference"] for v in spec.get("volumes", ()) if v.get("image")]
    done = status.get("phase") == "Succeeded"
    return Pod(
        namespace=meta["namespace"],
        name=meta["name"],
        node=spec.get("nodeName", ""),
        phase=status.get("phase", ""),
        ready=done or _condition(status, "Ready").get("status") == "True",
        images=(*(c["image"] for c in containers), *volumes),
        labels=meta.get("labels", {}),
        problem="" if done else _pod_problem(status),
        gpus=_gpus(c.get("resources", {}).get("limits", {}) for c in spec["containers"]),
        **_ends(status),
    )


def _ends(status: Document) -> Document:
    """Return how often containers were started again, and when and why one last ended."""
    containers = status.get("containerStatuses", ())
    ends = [end for c in containers if (end := c.get("lastState", {}).get("terminated"))]
    last: Document = max(ends, key=lambda end: str(end.get("finishedAt", "")), default={})
    reason = last.get("reason", "")
    return {
        "restarts": sum(c.get("restartCount", 0) for c in containers),
        "ended": last.get("finishedAt") or "",
        "end": f"{reason}, exit code {last['exitCode']}" if "exitCode" in last else reason,
    }


def _pod_problem(status: Document) -> str:
    """Return the most telling of what Kubernetes says: a waiting container, then an unmet condition."""
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason"):
            return f"{waiting['reason']}: {waiting['message']}" if "message" in waiting else waiting["reason"]
    for name in ("PodScheduled", "Ready"):
        condition = _condition(status, name)
        if condition.get("status") == "False":
            return str(condition.get("message") or condition.get("reason", ""))
    return ""


def newest_releases(secrets: Iterable[Document]) -> tuple[HelmRelease, ...]:
    """Return each release once, at its newest revision, from the Secrets that Helm keeps."""
    newest: dict[tuple[str, str], HelmRelease] = {}
    for secret in secrets:
        labels = secret["metadata"].get("labels", {})
        release = HelmRelease(
            namespace=secret["metadata"]["namespace"],
            name=labels.get("name", ""),
            revision=int(labels.get("version", 0)),
            status=labels.get("status", "unknown"),
            inputs=labels.get("aiplat.dev/inputs", ""),
        )
        key = (release.namespace, release.name)
        if key not in newest or newest[key].revision < release.revision:
            newest[key] = release
    return tuple(newest[key] for key in sorted(newest))


def network_policy(document: Document) -> NetworkPolicy:
    """Return a network policy."""
    meta, spec = document["metadata"], document["spec"]
    selector = spec.get("podSelector", {})
    types = spec.get("policyTypes", [])
    return NetworkPolicy(
        namespace=meta["namespace"],
        name=meta["name"],
        selects_all=not selector.get("matchLabels") and not selector.get("matchExpressions"),
        denies_ingress="Ingress" in types and not spec.get("ingress"),
        denies_egress="Egress" in types and not spec.get("egress"),
    )


def service(document: Document) -> Service:
    """Return a Service."""
    meta, spec = document["metadata"], document["spec"]
    address = spec.get("clusterIP", "")
    given = (document.get("status") or {}).get("loadBalancer", {}).get("ingress") or [{}]
    return Service(
        namespace=meta["namespace"],
        name=meta["name"],
        address="" if address == "None" else address,
        ports=tuple(p["port"] for p in spec.get("ports", ())),
        node_ports=tuple(p["nodePort"] for p in spec.get("ports", ()) if p.get("nodePort")),
        given=given[0].get("ip") or given[0].get("hostname") or "",
        labels=meta.get("labels", {}),
        annotations=meta.get("annotations", {}),
    )


def _condition(status: Document, kind: str) -> Document:
    found: Document = next((c for c in status.get("conditions", ()) if c["type"] == kind), {})
    return found
