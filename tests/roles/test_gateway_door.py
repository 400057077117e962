"""The module of plane_release that offers the gateway outside of somebody else's cluster."""

from __future__ import annotations

import json
from types import ModuleType

import pytest

from tests.roles.conftest import load_module


class Cluster:
    """Stands for kubectl: it has the Service or not, and remembers what it was told."""

    def __init__(self, there: str) -> None:
        self.there = there
        self.calls: list[str] = []

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Answer as kubectl."""
        if arguments[0] == "get":
            return json.dumps({"spec": {"type": self.there}}) if self.there else ""
        self.calls.append(arguments[0])
        self.there = json.loads(stdin)["spec"]["type"] if stdin else ""
        return ""


@pytest.fixture
def module() -> ModuleType:
    """The module itself."""
    return load_module("plane_release/library/gateway_door.py")


@pytest.mark.parametrize(
    ("there", "wanted", "calls"),
    [
        ("", "ClusterIP", []),
        ("", "LoadBalancer", ["apply"]),
        ("LoadBalancer", "LoadBalancer", []),
        ("LoadBalancer", "NodePort", ["apply"]),
        ("NodePort", "ClusterIP", ["delete"]),
    ],
)
def test_the_service_is_as_wanted_and_a_second_time_nothing_changes(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, there: str, wanted: str, calls: list[str]
) -> None:
    """Made, changed, or removed where the gateway is for pods and tunnels alone."""
    cluster = Cluster(there)
    monkeypatch.setattr(module, "kubectl", cluster.kubectl)
    assert bool(module.ensure(wanted, True)) is bool(calls)
    assert cluster.calls == []
    assert bool(module.ensure(wanted, False)) is bool(calls)
    assert cluster.calls == calls
    assert module.ensure(wanted, False) == []


def test_it_leads_to_the_pods_that_the_other_service_leads_to(module: ModuleType) -> None:
    """By the labels of the gateway's chart."""
    spec = module.wanted("LoadBalancer")["spec"]
    assert spec["selector"] == {"app.kubernetes.io/name": "gateway", "app.kubernetes.io/instance": "gateway"}
    assert spec["ports"] == [{"name": "https", "port": 443, "targetPort": "https"}]
