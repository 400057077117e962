"""The series that are served, as kube-state-metrics documents them; what objects make is elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from aiplat.moments import moment_of

Document = Mapping[str, Any]
Family = CounterMetricFamily | GaugeMetricFamily


class Sample(NamedTuple):
    """One value of one series; `labels` are those of `SERIES`, in any order."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class SeriesKind:
    """A series: the labels that each of its samples has, and what it tells."""

    labels: tuple[str, ...]
    told: str


_POD = ("namespace", "pod", "uid")
_CONTAINER = (*_POD, "container")
_AMOUNT = ("resource", "unit")


def _of(kind: str, told: Mapping[str, str], *more: str, named: str = "") -> dict[str, SeriesKind]:
    labels = ("namespace", named or kind)
    return {f"kube_{kind}_{name}": SeriesKind((*labels, *more), text) for name, text in told.items()}


_GENERATIONS = {
    "created": "Unix time of its creation",
    "metadata_generation": "Generation that is wanted",
    "status_observed_generation": "Generation that its controller has seen",
}
SERIES: Mapping[str, SeriesKind] = {
    "kube_node_info": SeriesKind(
        (
            *("node", "kernel_version", "os_image", "container_runtime_version", "kubelet_version"),
            *("kubeproxy_version", "provider_id", "pod_cidr", "system_uuid", "internal_ip"),
        ),
        "About a node",
    ),
    "kube_node_created": SeriesKind(("node",), "Unix time of its creation"),
    "kube_node_role": SeriesKind(("node", "role"), "A role of a node"),
    "kube_node_spec_unschedulable": SeriesKind(("node",), "Whether it takes no new pods"),
    "kube_node_spec_taint": SeriesKind(("node", "key", "value", "effect"), "A taint of a node"),
    "kube_node_status_condition": SeriesKind(("node", "condition", "status"), "A condition of a node"),
    "kube_node_status_capacity": SeriesKind(("node", *_AMOUNT), "What a node has"),
    "kube_node_status_allocatable": SeriesKind(("node", *_AMOUNT), "What pods may have of a node"),
    "kube_namespace_created": SeriesKind(("namespace",), "Unix time of its creation"),
    "kube_namespace_status_phase": SeriesKind(("namespace", "phase"), "Phase of a namespace"),
    "kube_resourcequota": SeriesKind(
        ("namespace", "resourcequota", "resource", "type"), "A limit, and its use"
    ),
    "kube_persistentvolume_status_phase": SeriesKind(("persistentvolume", "phase"), "Phase of a volume"),
    "kube_persistentvolume_capacity_bytes": SeriesKind(("persistentvolume",), "Size of a volume"),
    "kube_persistentvolumeclaim_info": SeriesKind(
        ("namespace", "persistentvolumeclaim", "storageclass", "volumename", "volumemode"), "About a claim"
    ),
    "kube_persistentvolumeclaim_status_phase": SeriesKind(
        ("namespace", "persistentvolumeclaim", "phase"), "Phase of a claim"
    ),
    "kube_persistentvolumeclaim_resource_requests_storage_bytes": SeriesKind(
        ("namespace", "persistentvolumeclaim"), "Size that a claim asks for"
    ),
    **_of(
        "deployment",
        {
            **_GENERATIONS,
            "spec_replicas": "Pods that are wanted",
            "spec_paused": "Whether changes of it wait",
            "status_replicas": "Pods",
            "status_replicas_ready": "Pods that are ready",
            "status_replicas_available": "Pods that have been ready long enough",
            "status_replicas_unavailable": "Pods that are missing",
            "status_replicas_updated": "Pods of the newest template",
        },
    ),
    **_of("deployment", {"status_condition": "A condition of a Deployment"}, "condition", "status", "reason"),
    **_of(
        "statefulset",
        {
            **_GENERATIONS,
            "replicas": "Pods that are wanted",
            "status_replicas": "Pods",
            "status_replicas_ready": "Pods that are ready",
            "status_replicas_available": "Pods that have been ready long enough",
            "status_replicas_current": "Pods of the template before",
            "status_replicas_updated": "Pods of the newest template",
        },
    ),
    **_of(
        "daemonset",
        {
            **_GENERATIONS,
            "status_desired_number_scheduled": "Nodes that should have a pod",
            "status_current_number_scheduled": "Nodes that should have a pod and have",
            "status_number_available": "Nodes whose pod has been ready long enough",
            "status_number_unavailable": "Nodes whose pod is missing",
            "status_number_ready": "Nodes whose pod is ready",
            "status_number_misscheduled": "Nodes that have a pod and should not",
            "status_updated_number_scheduled": "Nodes whose pod is of the newest template",
        },
    ),
    **_of(
        "job",
        {
            "info": "About a Job",
            "created": "Unix time of its creation",
            "spec_completions": "Pods that must succeed",
            "status_active": "Pods that run",
            "status_succeeded": "Pods that succeeded",
            "status_start_time": "Unix time of its start",
            "status_completion_time": "Unix time of its end",
        },
        named="job_name",
    ),
    **_of("job", {"status_failed": "Pods that failed"}, "reason", named="job_name"),
    **_of(
        "job",
        {"complete": "Whether it was done", "failed": "Whether it was given up"},
        "condition",
        named="job_name",
    ),
    **_of("job", {"owner": "Who made a Job"}, "owner_kind", "owner_name", named="job_name"),
    **_of(
        "cronjob",
        {
            "created": "Unix time of its creation",
            "spec_suspend": "Whether it starts no Jobs",
            "status_active": "Jobs of it that run",
            "status_last_schedule_time": "Unix time at which it last made a Job",
            "status_last_successful_time": "Unix time at which a Job of it last succeeded",
        },
    ),
    "kube_pod_info": SeriesKind(
        (
            *(*_POD, "host_ip", "pod_ip", "node", "created_by_kind", "created_by_name"),
            *("priority_class", "host_network"),
        ),
        "About a pod",
    ),
    "kube_pod_owner": SeriesKind(
        (*_POD, "owner_kind", "owner_name", "owner_is_controller"), "Who made a pod"
    ),
    "kube_pod_created": SeriesKind(_POD, "Unix time of its creation"),
    "kube_pod_start_time": SeriesKind(_POD, "Unix time at which its node took it"),
    "kube_pod_status_phase": SeriesKind((*_POD, "phase"), "Phase of a pod"),
    "kube_pod_status_ready": SeriesKind((*_POD, "condition"), "Whether a pod is ready"),
    "kube_pod_status_scheduled": SeriesKind((*_POD, "condition"), "Whether a pod has a node"),
    "kube_pod_status_reason": SeriesKind((*_POD, "reason"), "Why a pod was ended"),
    "kube_pod_container_info": SeriesKind(
        (*_CONTAINER, "image_spec", "image", "image_id", "container_id"), "About a container"
    ),
    "kube_pod_container_resource_requests": SeriesKind(
        (*_CONTAINER, "node", *_AMOUNT), "What is kept for it"
    ),
    "kube_pod_container_resource_limits": SeriesKind((*_CONTAINER, "node", *_AMOUNT), "What it may take"),
    **{
        f"kube_pod_{kind}status_{name}": SeriesKind((*_CONTAINER, *more), told)
        for kind in ("container_", "init_container_")
        for name, more, told in (
            ("ready", (), "Whether it is ready"),
            ("running", (), "Whether it runs"),
            ("waiting", (), "Whether it waits"),
            ("waiting_reason", ("reason",), "Why it waits"),
            ("terminated", (), "Whether it has ended"),
            ("terminated_reason", ("reason",), "Why it has ended"),
            ("last_terminated_reason", ("reason",), "Why it ended before its last start"),
            ("restarts_total", (), "How often it was started again"),
        )
    },
}


def families(samples: Iterable[Sample]) -> Iterator[Family]:
    """Yield samples by their series, each once, as prometheus_client writes them.

    Raises:
        KeyError: a sample has not just the labels that its series has.
    """
    found: dict[str, Family] = {}
    for sample in samples:
        known = SERIES[sample.name]
        if len(known.labels) != len(sample.labels):
            raise KeyError(f"{sample.name} has the labels {', '.join(known.labels)}")
        if sample.name not in found:
            kind = CounterMetricFamily if sample.name.endswith("_total") else GaugeMetricFamily
            found[sample.name] = kind(sample.name, known.told, labels=known.labels)
        found[sample.name].add_metric([sample.labels[label] for label in known.labels], sample.value)
    yield from found.values()


def one_of(
    name: str, labels: Mapping[str, str], label: str, among: Iterable[str], is_now: str
) -> Iterator[Sample]:
    """Yield a sample for each thing that something can be: 1 for what it is now, 0 for the others."""
    for value in among:
        yield Sample(name, {**labels, label: value}, float(value == is_now))


def counted(prefix: str, labels: Mapping[str, str], numbers: Mapping[str, object]) -> Iterator[Sample]:
    """Yield a sample for each number that is known: numbers, booleans and the API's times."""
    for name, number in numbers.items():
        if isinstance(number, str):
            # Go's zero, the year 1, stands for a time that is not known.
            with suppress(ValueError):
                yield Sample(f"{prefix}{name}", labels, moment_of(number).timestamp())
        elif isinstance(number, (int, float)):
            yield Sample(f"{prefix}{name}", labels, float(number))


def generations(prefix: str, labels: Mapping[str, str], document: Document) -> Iterator[Sample]:
    """Yield when something was made, which generation is wanted and which one its controller has seen."""
    meta = document["metadata"]
    numbers = {
        "created": meta.get("creationTimestamp"),
        "metadata_generation": meta.get("generation"),
        "status_observed_generation": document.get("status", {}).get("observedGeneration"),
    }
    return counted(prefix, labels, numbers)
