"""Objects as the API has them, and the series that kube-state-metrics documents for them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from aiplat.services.states import jobs, nodes, pods, volumes, workloads
from aiplat.services.states.look import KINDS
from aiplat.services.states.series import SERIES, Sample, families
from aiplat.shipped import shipped

CREATED = "2026-01-01T00:00:00Z"
NODE = {
    "metadata": {
        "name": "a1",
        "creationTimestamp": CREATED,
        "labels": {"node-role.kubernetes.io/control-plane": "true", "zone": "x"},
    },
    "spec": {
        "podCIDR": "10.42.0.0/24",
        "unschedulable": True,
        "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}],
    },
    "status": {
        "conditions": [{"type": "Ready", "status": "Unknown"}, {"type": "DiskPressure", "status": "True"}],
        "capacity": {"cpu": "2", "memory": "1Ki", "nvidia.com/gpu": "1", "ephemeral-storage": "2Ki"},
        "nodeInfo": {"kubeletVersion": "v1"},
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
    },
}
POD = {
    "metadata": {
        "namespace": "n",
        "name": "p",
        "uid": "u",
        "creationTimestamp": CREATED,
        "ownerReferences": [{"kind": "ReplicaSet", "name": "r", "controller": True}],
    },
    "spec": {
        "nodeName": "a1",
        "containers": [
            {"name": "c", "image": "i:1", "resources": {"requests": {"cpu": "250m", "memory": "1Mi"}}}
        ],
    },
    "status": {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "False"}, {"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [
            {
                "name": "c",
                "image": "i:1",
                "ready": False,
                "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
            }
        ],
        "initContainerStatuses": [
            {"name": "i", "ready": True, "state": {"terminated": {"reason": "Completed"}}}
        ],
    },
}


class Told:
    """Samples as Prometheus reads them from the text that is served."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = list(samples)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)  # type: ignore[arg-type]
        text = generate_latest(registry).decode()
        self._read = [s for family in text_string_to_metric_families(text) for s in family.samples]

    def collect(self) -> Iterable[object]:
        """Return the families, as prometheus_client asks for them."""
        return families(self._samples)

    def values(self, name: str, **labels: str) -> list[float]:
        """Return the values of a series' samples that have these labels."""
        return [s.value for s in self._read if s.name == name and labels.items() <= s.labels.items()]


def test_a_node_says_its_conditions_and_what_it_has() -> None:
    """Each condition has all of its values, one of which is 1; amounts are cores, bytes and numbers."""
    seen = Told(nodes.node(NODE))
    conditions = {
        (kind, status): seen.values("kube_node_status_condition", node="a1", condition=kind, status=status)
        for kind in ("Ready", "DiskPressure")
        for status in ("true", "false", "unknown")
    }
    assert [key for key, values in conditions.items() if values == [1]] == [
        ("Ready", "unknown"),
        ("DiskPressure", "true"),
    ]
    assert sum(values == [0] for values in conditions.values()) == 4
    for resource, unit, amount in (
        ("cpu", "core", 2),
        ("memory", "byte", 1024),
        ("ephemeral_storage", "byte", 2048),
        ("nvidia_com_gpu", "integer", 1),
    ):
        assert seen.values("kube_node_status_capacity", resource=resource, unit=unit) == [amount]
    assert seen.values("kube_node_role", role="control-plane") == [1]
    assert seen.values("kube_node_spec_unschedulable", node="a1") == [1]
    assert seen.values("kube_node_created") == [1767225600]
    assert seen.values("kube_node_info", internal_ip="10.0.0.1", kubelet_version="v1") == [1]


def test_a_pod_says_why_it_does_not_run() -> None:
    """Its phase, its containers' reasons, and how often they were started again."""
    seen = Told(pods.pod(POD))
    assert seen.values("kube_pod_status_phase", pod="p", uid="u", phase="Pending") == [1]
    assert seen.values("kube_pod_status_phase", phase="Running") == [0]
    assert seen.values("kube_pod_status_ready", condition="true") == [0]
    assert seen.values("kube_pod_container_status_restarts_total", namespace="n", container="c") == [4]
    assert seen.values("kube_pod_container_status_waiting_reason", reason="CrashLoopBackOff") == [1]
    assert seen.values("kube_pod_container_status_last_terminated_reason", reason="OOMKilled") == [1]
    assert seen.values("kube_pod_container_resource_requests", resource="cpu", unit="core") == [0.25]
    assert seen.values("kube_pod_init_container_status_terminated_reason", reason="Completed") == [1]
    assert seen.values("kube_pod_owner", owner_kind="ReplicaSet", owner_is_controller="true") == [1]


def test_a_pod_of_which_nothing_is_known_yet_is_pending_alone() -> None:
    """Between its creation and a node for it there are no containers to speak of."""
    fresh = {**POD, "status": {"phase": "Pending"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    seen = Told(pods.pod(fresh))
    assert seen.values("kube_pod_status_phase", phase="Pending") == [1]
    assert seen.values("kube_pod_container_status_ready") == []


@pytest.mark.parametrize("made", ["0001-01-01T00:00:00Z", "soon"])
def test_a_time_that_is_not_known_has_no_sample(made: str) -> None:
    """Go writes its zero for it; what else there is of the object is told."""
    seen = Told(pods.pod({**POD, "metadata": {**POD["metadata"], "creationTimestamp": made}}))
    assert seen.values("kube_pod_created") == []
    assert seen.values("kube_pod_status_phase", phase="Pending") == [1]


def test_workloads_say_what_is_wanted_and_what_is_there() -> None:
    """A field that the API leaves out is none; replicas that nobody wrote are one."""
    meta = {"namespace": "n", "name": "w", "creationTimestamp": CREATED, "generation": 3}
    failed = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    status = {"unavailableReplicas": 1, "observedGeneration": 2, "conditions": [failed]}
    seen = Told(workloads.deployment({"metadata": meta, "spec": {}, "status": status}))
    assert seen.values("kube_deployment_spec_replicas", deployment="w") == [1]
    assert seen.values("kube_deployment_status_replicas_available", deployment="w") == [0]
    assert seen.values("kube_deployment_metadata_generation", deployment="w") == [3]
    assert seen.values("kube_deployment_status_condition", status="false", reason=failed["reason"]) == [1]
    two = {"metadata": meta, "spec": {"replicas": 2}, "status": {"readyReplicas": 1}}
    seen = Told(workloads.stateful_set(two))
    assert seen.values("kube_statefulset_replicas", statefulset="w") == [2]
    assert seen.values("kube_statefulset_status_replicas_ready", statefulset="w") == [1]
    on_three = {"metadata": meta, "spec": {}, "status": {"desiredNumberScheduled": 3}}
    seen = Told(workloads.daemon_set(on_three))
    assert seen.values("kube_daemonset_status_desired_number_scheduled", daemonset="w") == [3]


META = {"namespace": "n", "name": "x", "creationTimestamp": CREATED}


def test_volumes_and_claims_say_their_state() -> None:
    """A claim that nothing meets, and a volume that could not be removed."""
    asked = {"resources": {"requests": {"storage": "1Gi"}}}
    seen = Told(volumes.claim({"metadata": META, "spec": asked, "status": {"phase": "Pending"}}))
    phase = "kube_persistentvolumeclaim_status_phase"
    assert seen.values(phase, persistentvolumeclaim="x", phase="Pending") == [1]
    assert seen.values("kube_persistentvolumeclaim_resource_requests_storage_bytes") == [1 << 30]
    size = {"capacity": {"storage": "1Ki"}}
    seen = Told(volumes.volume({"metadata": {"name": "v"}, "spec": size, "status": {"phase": "Failed"}}))
    assert seen.values("kube_persistentvolume_status_phase", persistentvolume="v", phase="Failed") == [1]
    assert seen.values("kube_persistentvolume_capacity_bytes") == [1024]


def test_jobs_say_how_they_ended() -> None:
    """Given up or done, and when a CronJob last made one."""
    ended = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    seen = Told(jobs.job({"metadata": META, "spec": {}, "status": {"failed": 2, "conditions": [ended]}}))
    assert seen.values("kube_job_failed", job_name="x", condition="true") == [1]
    assert seen.values("kube_job_status_failed", reason="BackoffLimitExceeded") == [2]
    cron = {"metadata": META, "spec": {"suspend": True}, "status": {"lastScheduleTime": CREATED}}
    seen = Told(jobs.cron_job(cron))
    assert seen.values("kube_cronjob_spec_suspend", cronjob="x") == [1]
    assert seen.values("kube_cronjob_status_last_schedule_time") == [1767225600]


def test_namespaces_and_quotas_say_their_state() -> None:
    """A namespace on its way out; a limit and its use."""
    seen = Told(nodes.namespace({"metadata": {"name": "n"}, "status": {"phase": "Terminating"}}))
    assert seen.values("kube_namespace_status_phase", phase="Terminating") == [1]
    seen = Told(nodes.quota({"metadata": META, "status": {"hard": {"pods": "4"}, "used": {"pods": "3"}}}))
    assert seen.values("kube_resourcequota", resource="pods", type="used") == [3]


def test_a_label_that_is_missing_is_a_fault_and_not_another_series() -> None:
    """Prometheus would take it for something else."""
    with pytest.raises(KeyError):
        list(families([Sample("kube_pod_created", {"namespace": "n"}, 1)]))


def test_the_chart_asks_kube_state_metrics_for_the_same_series() -> None:
    """One list for both exporters, and one of what they read."""
    chart = "charts/platform/kube-state-metrics/chart"
    assert shipped(f"{chart}/files/series").read_text().split() == sorted(SERIES)
    deployment = shipped(f"{chart}/templates/deployment.yaml").read_text()
    assert f"--resources={','.join(sorted(KINDS))}\n" in deployment
