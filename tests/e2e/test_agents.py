"""One server and two agents: nodes join, pods reach each other, policies hold, what is changed comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.journey import Journey

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """Three hosts, bootstrapped."""
    journey = make_journey("agents")
    journey.bootstrap()
    return journey


def _apply(journey: Journey, *documents: dict[str, Any]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
    journey.on_host(f"k3s kubectl apply -f - <<'END'\n{text}\nEND")


def _pod(journey: Journey, name: str, node: str, command: str, namespace: str = "trial") -> dict[str, Any]:
    container: dict[str, Any] = {"name": "main", "image": journey.image("mirrored-library-busybox")}
    container["command"] = ["sh", "-c", command]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 0},
    }


@pytest.fixture(scope="module")
def trial(ward: Journey) -> Journey:
    """A web server on one agent with a Service, clients on the other agent, one in a namespace of its own."""
    serve = "mkdir /tmp/w && echo hello from the other host > /tmp/w/index.html && httpd -f -p 8080 -h /tmp/w"
    _apply(
        ward,
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in ("trial", "stranger")),
    )
    _apply(
        ward,
        _pod(ward, "web", "t-agents-a1", serve),
        _pod(ward, "client", "t-agents-a2", "sleep 100000"),
        _pod(ward, "client", "t-agents-a2", "sleep 100000", namespace="stranger"),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "trial"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    for namespace in ("trial", "stranger"):
        ward.on_host(f"k3s kubectl -n {namespace} wait --for=condition=Ready pod --all --timeout=300s")
    return ward


def _fetch(journey: Journey, namespace: str, url: str, expect: int = 0) -> str:
    return journey.on_host(
        f"k3s kubectl -n {namespace} exec client -- wget -q -T 5 -O - {url}", expect=expect
    )


def test_three_nodes_are_ready(ward: Journey) -> None:
    """The server and both agents are Ready nodes."""
    nodes = json.loads(ward.on_host("k3s kubectl get nodes -o json"))["items"]
    ready = {
        node["metadata"]["name"]
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready" and condition["status"] == "True"
    }
    assert ready == {"t-agents-s1", "t-agents-a1", "t-agents-a2"}


def test_a_pod_reaches_a_pod_on_another_host(trial: Journey) -> None:
    """By its address, across hosts."""
    address = trial.on_host("k3s kubectl -n trial get pod web -o jsonpath={.status.podIP}")
    assert "hello from the other host" in _fetch(trial, "trial", f"http://{address}:8080/")


def test_a_pod_reaches_a_service_by_name(trial: Journey) -> None:
    """By the Service's DNS name, across hosts."""
    assert "hello from the other host" in _fetch(trial, "stranger", "http://web.trial.svc.cluster.local/")


def test_a_policy_lets_in_what_it_names_and_nothing_else(trial: Journey) -> None:
    """After default-deny with one rule, the neighbour still gets in and the stranger does not."""
    _apply(
        trial,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "only-neighbours", "namespace": "trial"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "web"}},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 8080}]}],
            },
        },
    )
    # A policy takes effect shortly after it is accepted: so the refusal is waited for.
    refused = "k3s kubectl -n stranger exec client -- wget -q -T 2 -O - http://web.trial/"
    trial.on_host(f"timeout 60 sh -c 'while {refused}; do :; done'")
    assert "hello from the other host" in _fetch(trial, "trial", "http://web.trial/")


def test_a_volume_outlives_its_pod(trial: Journey) -> None:
    """A claim of the default storage class keeps what one pod wrote for the next."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept", "namespace": "trial"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
    }

    def pod(name: str, command: str) -> dict[str, Any]:
        document = _pod(trial, name, "t-agents-a1", command)
        del document["spec"]["nodeName"]
        document["spec"] |= {
            "restartPolicy": "Never",
            "volumes": [{"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}}],
        }
        document["spec"]["containers"][0]["volumeMounts"] = [{"name": "kept", "mountPath": "/kept"}]
        return document

    finished = "k3s kubectl -n trial wait --for=jsonpath={.status.phase}=Succeeded --timeout=300s pod/"
    _apply(trial, claim, pod("writer", "echo still here > /kept/note"))
    trial.on_host(finished + "writer")
    trial.on_host("k3s kubectl -n trial delete pod writer")
    _apply(trial, pod("reader", "cat /kept/note"))
    trial.on_host(finished + "reader")
    assert trial.on_host("k3s kubectl -n trial logs reader").strip() == "still here"


def test_second_bootstrap_changes_nothing_on_three_hosts(trial: Journey) -> None:
    """Done again, nothing changes and no unit is restarted on any host."""
    names = ("t-agents-s1", "t-agents-a1", "t-agents-a2")
    before = [trial.units(name) for name in names]
    assert trial.bootstrap()["changed"] == 0
    assert [trial.units(name) for name in names] == before


def test_what_somebody_changed_in_the_cluster_is_seen_and_put_right(ward: Journey) -> None:
    """The plan names what is gone or was changed, and bootstrap brings back just that."""
    ward.on_host("k3s kubectl delete deployment gateway -n aiplat-access")
    ward.on_host("k3s kubectl delete networkpolicy --all -n aiplat-data")
    ward.on_host("k3s kubectl scale statefulset postgresql -n aiplat-data --replicas 0")
    (step,) = ward.document("plan")["steps"]
    assert step["id"] == "plane_release"
    reason = step["reason"]["t-agents-s1"]
    assert "deployment gateway in aiplat-access is gone" in reason
    assert "in aiplat-data is gone" in reason
    summary = ward.bootstrap()
    assert (summary["changed"] > 0, summary["restarts"]) == (True, [])
    assert ward.bootstrap()["changed"] == 0
