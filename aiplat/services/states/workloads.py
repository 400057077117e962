"""Series of what makes pods: Deployments, StatefulSets, DaemonSets."""

from __future__ import annotations

from collections.abc import Iterator

from aiplat.services.states.series import Document, Sample, counted, generations, one_of

_STATUSES = ("true", "false", "unknown")


def deployment(document: Document) -> Iterator[Sample]:
    """Yield what there is to say of a Deployment."""
    one = _named(document, "deployment")
    spec, status = document["spec"], document.get("status", {})
    yield from generations("kube_deployment_", one, document)
    numbers = {
        "spec_replicas": spec.get("replicas", 1),
        "spec_paused": bool(spec.get("paused")),
        "status_replicas": status.get("replicas", 0),
        "status_replicas_ready": status.get("readyReplicas", 0),
        "status_replicas_available": status.get("availableReplicas", 0),
        "status_replicas_unavailable": status.get("unavailableReplicas", 0),
        "status_replicas_updated": status.get("updatedReplicas", 0),
    }
    yield from counted("kube_deployment_", one, numbers)
    for condition in status.get("conditions", ()):
        labels = {**one, "condition": condition["type"], "reason": condition.get("reason", "")}
        now = condition["status"].lower()
        yield from one_of("kube_deployment_status_condition", labels, "status", _STATUSES, now)


def stateful_set(document: Document) -> Iterator[Sample]:
    """Yield what there is to say of a StatefulSet."""
    one = _named(document, "statefulset")
    status = document.get("status", {})
    yield from generations("kube_statefulset_", one, document)
    numbers = {
        "replicas": document["spec"].get("replicas", 1),
        "status_replicas": status.get("replicas", 0),
        "status_replicas_ready": status.get("readyReplicas", 0),
        "status_replicas_available": status.get("availableReplicas", 0),
        "status_replicas_current": status.get("currentReplicas", 0),
        "status_replicas_updated": status.get("updatedReplicas", 0),
    }
    yield from counted("kube_statefulset_", one, numbers)


def daemon_set(document: Document) -> Iterator[Sample]:
    """Yield what there is to say of a DaemonSet."""
    one = _named(document, "daemonset")
    status = document.get("status", {})
    yield from generations("kube_daemonset_", one, document)
    numbers = {
        "desired_number_scheduled": status.get("desiredNumberScheduled", 0),
        "current_number_scheduled": status.get("currentNumberScheduled", 0),
        "number_available": status.get("numberAvailable", 0),
        "number_unavailable": status.get("numberUnavailable", 0),
        "number_ready": status.get("numberReady", 0),
        "number_misscheduled": status.get("numberMisscheduled", 0),
        "updated_number_scheduled": status.get("updatedNumberScheduled", 0),
    }
    yield from counted("kube_daemonset_status_", one, numbers)


def _named(document: Document, kind: str) -> dict[str, str]:
    meta = document["metadata"]
    return {"namespace": meta["namespace"], kind: meta["name"]}
