"""What our charts render: as reviewed, valid for the pinned Kubernetes, and safe by default.

`AIPLAT_GOLDEN=write pytest tests/charts` writes the golden manifests again; the diff is then reviewed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes_validate.utils import ValidationError, validate
from ruamel.yaml import YAML

from aiplat.catalog.components import Component
from aiplat.services.gateway.config.routes import Routes
from aiplat.shipped import shipped
from tests.charts.conftest import NAMES, RELEASES, VALUES, Document, Helm, documents

GOLDEN = Path(__file__).parent / "golden"
WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet"}
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def kubernetes_minor() -> str:
    """Return the Kubernetes version that is pinned, as `1.2`."""
    pinned = YAML(typ="safe").load(shipped("versions.yaml"))["kubernetes"]["version"]
    return ".".join(pinned.removeprefix("v").split(".")[:2])


def pods(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and pod spec of every workload."""
    for document in documents(text):
        if document["kind"] in WORKLOADS:
            yield document["metadata"]["name"], document["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", NAMES)
def test_manifests_are_as_reviewed(name: str, rendered: dict[str, str]) -> None:
    """A manifest changes only when somebody has looked at the change."""
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("AIPLAT_GOLDEN") == "write":
        path.write_text(rendered[name])
    assert rendered[name] == path.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_manifests_are_valid_for_the_pinned_kubernetes(name: str, rendered: dict[str, str]) -> None:
    """Every field exists and has the right type, by the published schema, unknown fields refused."""
    for document in documents(rendered[name]):
        validate(document, kubernetes_minor(), strict=True)


def test_the_schema_would_notice_a_wrong_field() -> None:
    """The check above can fail."""
    wrong: Document = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "x"},
        "spec": {"ports": [{"prot": 1, "port": 1}]},
    }
    with pytest.raises(ValidationError):
        validate(wrong, kubernetes_minor(), strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_pods_are_restricted(name: str, rendered: dict[str, str]) -> None:
    """No root, no capabilities, no writable root, the runtime's seccomp profile, no needless token."""
    for workload, pod in pods(rendered[name]):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is (
            workload in {"gateway", "kube-state-metrics", "operator", "portal", "prometheus"}
        )
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@pytest.mark.parametrize("name", NAMES)
def test_containers_have_probes_requests_and_limits(name: str, rendered: dict[str, str]) -> None:
    """What a node must reserve, what a container may take, and when it is alive and ready."""
    for _, pod in pods(rendered[name]):
        for container in pod["containers"]:
            for bound in ("requests", "limits"):
                assert set(container["resources"][bound]) >= {"cpu", "memory"}
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


@pytest.mark.parametrize("name", NAMES)
def test_pods_without_a_state_leave_a_lost_node_soon(name: str, rendered: dict[str, str]) -> None:
    """Kubernetes' own five minutes are long without a model; what has a volume or a pod per node stays."""
    for workload, pod in pods(rendered[name]):
        waits = {t.get("key"): t.get("tolerationSeconds") for t in pod.get("tolerations", ())}
        soon = {f"node.kubernetes.io/{state}": 30 for state in ("not-ready", "unreachable")}
        assert (soon.items() <= waits.items()) is (
            workload not in {"postgresql", "prometheus", "node-exporter", "alertmanager"}
        )


@pytest.mark.parametrize("name", NAMES)
def test_images_are_named_by_digest(name: str, rendered: dict[str, str]) -> None:
    """Containers and image volumes alike, none of them pulled again at every start."""
    for _, pod in pods(rendered[name]):
        images = [c["image"] for c in pod["containers"]]
        volumes = [v["image"] for v in pod["volumes"] if "image" in v]
        assert all(DIGEST.search(i) for i in images + [v["reference"] for v in volumes])
        assert {v["pullPolicy"] for v in volumes} <= {"IfNotPresent"}


@pytest.mark.parametrize("name", NAMES)
def test_every_workload_has_a_network_policy(name: str, rendered: dict[str, str]) -> None:
    """One that selects it and speaks of both directions; default-deny alone would leave it mute."""
    every = documents(rendered[name])
    policies = [d["spec"] for d in every if d["kind"] == "NetworkPolicy"]
    for workload in (d for d in every if d["kind"] in WORKLOADS):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        wanted = [p for p in policies if p["podSelector"]["matchLabels"].items() <= labels.items()]
        assert wanted
        assert all(set(p["policyTypes"]) == {"Ingress", "Egress"} for p in wanted)


def test_the_planes_are_closed_before_anything_is_opened(rendered: dict[str, str]) -> None:
    """One default-deny policy for each namespace that a release goes to."""
    closed = {
        d["metadata"]["namespace"]
        for d in documents(rendered["policies"])
        if d["kind"] == "NetworkPolicy" and d["spec"]["podSelector"] == {} and "egress" not in d["spec"]
    }
    assert closed == {
        "aiplat-access",
        "aiplat-data",
        "aiplat-model",
        "aiplat-platform",
        "aiplat-user-serving",
    }


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("gateway", "image=ghcr.io/aiplat/aiplat:TAG", "image"),
        ("gateway", "replica=2", "replica"),
        ("gateway", "apiServers=null", "apiServers"),
        ("operator", "image=ghcr.io/aiplat/aiplat:TAG", "image"),
        ("operator", "requests=soon", "requests"),
        ("postgresql", "database=Robert'); DROP", "database"),
        ("postgresql", "storage.size=lots", "size"),
        ("policies", "namespaces[0]=kube-system", "namespaces"),
        ("portal", "url=http://ward-3.test/v1", "url"),
        ("prometheus", "retention.size=lots", "size"),
        ("prometheus", "targets[0].path=metrics", "path"),
    ],
)
def test_values_that_make_no_sense_are_refused(
    name: str, given: str, said: str, helm: Helm, charts: dict[str, Path]
) -> None:
    """The schema of the values names the field; helm never gets to the cluster."""
    done = helm("template", name, charts[name], "-f", VALUES / f"values-{name}.yaml", "--set", given)
    assert done.returncode != 0
    assert said in done.stderr


@pytest.mark.parametrize("component", [c for c in RELEASES if c.profiles], ids=lambda c: c.name)
def test_each_profile_is_what_the_chart_takes(
    component: Component, helm: Helm, charts: dict[str, Path], tmp_path: Path
) -> None:
    """Its values pass the chart's schema, what it renders is valid, and memory has a limit."""
    for profile in component.profiles.values():
        (tmp_path / "profile.json").write_text(json.dumps(profile))
        given = ("-f", VALUES / f"values-{component.name}.yaml", "-f", tmp_path / "profile.json")
        done = helm("template", component.name, charts[component.name], *given)
        assert done.returncode == 0, done.stderr
        for document in documents(done.stdout):
            validate(document, kubernetes_minor(), strict=True)
        for _, pod in pods(done.stdout):
            assert all("memory" in c["resources"]["limits"] for c in pod["containers"])
        assert profile["resources"]["limits"]["memory"] in done.stdout


def test_a_sites_providers_reach_the_gateway(helm: Helm, charts: dict[str, Path], tmp_path: Path) -> None:
    """`routes` becomes a file that the gateway understands, keys a mounted Secret, addresses an opening."""
    routes = {
        "providers": [
            {"name": "oai", "url": "https://api.example.com/v1", "key_file": "/etc/aiplat/providers/oai"}
        ],
        "models": [{"name": "gpt", "provider": "oai"}],
    }
    opened = [{"cidr": "203.0.113.7/32", "port": 443}]
    (tmp_path / "more.json").write_text(json.dumps({"routes": routes, "egressTo": opened}))
    given = ("-f", VALUES / "values-gateway.yaml", "-f", tmp_path / "more.json")
    done = helm("template", "gateway", charts["gateway"], "-n", "aiplat-access", *given)
    assert done.returncode == 0, done.stderr
    for document in documents(done.stdout):
        validate(document, kubernetes_minor(), strict=True)
    found = {d["kind"]: d for d in documents(done.stdout)}
    assert Routes.model_validate_json(found["ConfigMap"]["data"]["routes.json"]).models[0].name == "gpt"
    pod = dict(pods(done.stdout))["gateway"]
    assert "--routes=/etc/aiplat/routes/routes.json" in pod["containers"][0]["args"]
    mounts = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
    assert (mounts["routes"], mounts["providers"]) == ("/etc/aiplat/routes", "/etc/aiplat/providers")
    last = found["NetworkPolicy"]["spec"]["egress"][-1]
    assert last["to"] == [{"ipBlock": {"cidr": "203.0.113.7/32"}}]
