"""Series of pods and their containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiplat.services.states.amounts import amounts
from aiplat.services.states.series import Document, Sample, counted, one_of

_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
_STATUSES = ("true", "false", "unknown")
_REASONS = ("Evicted", "NodeAffinity", "NodeLost", "Shutdown", "UnexpectedAdmissionError")
_CONDITIONS = {"Ready": "ready", "PodScheduled": "scheduled"}


def pod(document: Document) -> Iterator[Sample]:
    """Yield what there is to say of a pod and of each of its containers."""
    meta, spec, status = document["metadata"], document["spec"], document.get("status", {})
    one = {"namespace": meta["namespace"], "pod": meta["name"], "uid": meta["uid"]}
    yield from _about(document, one)
    numbers = {"created": meta.get("creationTimestamp"), "start_time": status.get("startTime")}
    yield from counted("kube_pod_", one, numbers)
    yield from one_of("kube_pod_status_phase", one, "phase", _PHASES, status.get("phase", "Unknown"))
    yield from one_of("kube_pod_status_reason", one, "reason", _REASONS, status.get("reason", ""))
    for condition in status.get("conditions", ()):
        if name := _CONDITIONS.get(condition["type"]):
            now = condition["status"].lower()
            yield from one_of(f"kube_pod_status_{name}", one, "condition", _STATUSES, now)
    for container in spec["containers"]:
        yield from _takes(container, {**one, "container": container["name"]}, spec.get("nodeName", ""))
    images = {c["name"]: c.get("image", "") for c in spec["containers"]}
    for state in status.get("containerStatuses", ()):
        yield _image(state, one, images.get(state["name"], ""))
        yield from _state(state, one, "container")
    for state in status.get("initContainerStatuses", ()):
        yield from _state(state, one, "init_container")


def _about(document: Document, one: dict[str, str]) -> Iterator[Sample]:
    spec, status = document["spec"], document.get("status", {})
    owners: list[dict[str, Any]] = document["metadata"].get("ownerReferences", [])
    maker = next((o for o in owners if o.get("controller")), {})
    said = {
        "host_ip": status.get("hostIP", ""),
        "pod_ip": status.get("podIP", ""),
        "node": spec.get("nodeName", ""),
        "created_by_kind": maker.get("kind", ""),
        "created_by_name": maker.get("name", ""),
        "priority_class": spec.get("priorityClassName", ""),
        "host_network": str(bool(spec.get("hostNetwork"))).lower(),
    }
    yield Sample("kube_pod_info", {**one, **said}, 1)
    for owner in owners:
        controls = str(bool(owner.get("controller"))).lower()
        owned = {"owner_kind": owner["kind"], "owner_name": owner["name"], "owner_is_controller": controls}
        yield Sample("kube_pod_owner", {**one, **owned}, 1)


def _takes(container: Document, one: dict[str, str], node: str) -> Iterator[Sample]:
    resources = container.get("resources") or {}
    for kind in ("requests", "limits"):
        name = f"kube_pod_container_resource_{kind}"
        yield from amounts(name, {**one, "node": node}, resources.get(kind) or {})


def _image(state: Document, pod_labels: dict[str, str], wanted: str) -> Sample:
    labels = {
        **pod_labels,
        "container": state["name"],
        "image_spec": wanted,
        "image": state.get("image", ""),
        "image_id": state.get("imageID", ""),
        "container_id": state.get("containerID", ""),
    }
    return Sample("kube_pod_container_info", labels, 1)


def _state(state: Document, pod_labels: dict[str, str], kind: str) -> Iterator[Sample]:
    labels = {**pod_labels, "container": state["name"]}
    prefix = f"kube_pod_{kind}_status_"
    now, before = state.get("state") or {}, state.get("lastState") or {}
    yield Sample(f"{prefix}ready", labels, float(bool(state.get("ready"))))
    yield Sample(f"{prefix}restarts_total", labels, float(state.get("restartCount", 0)))
    for name in ("running", "waiting", "terminated"):
        yield Sample(f"{prefix}{name}", labels, float(name in now))
    for name, told in (
        ("waiting_reason", now.get("waiting")),
        ("terminated_reason", now.get("terminated")),
        ("last_terminated_reason", before.get("terminated")),
    ):
        if told and told.get("reason"):
            yield Sample(f"{prefix}{name}", {**labels, "reason": told["reason"]}, 1)
