"""The module of cluster_reset: ours goes, others' stays, and what its class keeps is named."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest

from tests.roles.conftest import load_module

TEAM_KINDS = "rolebindings,networkpolicies,limitranges,resourcequotas"
ROW = "{ns} sh.helm.release.v1.{name}.v1 helm.sh/release.v1 1 5m {name}"


def item(name: str, labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """An object as kubectl lists it."""
    annotations = more.pop("annotations", {})
    return {"metadata": {"name": name, "labels": labels or {}, "annotations": annotations}, **more}


def volume(name: str, namespace: str, policy: str) -> dict[str, Any]:
    """A volume of a claim."""
    return item(name, spec={"claimRef": {"namespace": namespace}, "persistentVolumeReclaimPolicy": policy})


class Cluster:
    """Stands for helm and kubectl: objects go when they are told to, and every such call is remembered."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.objects: dict[str, list[dict[str, Any]]] = {
            "namespaces": [
                item("shop"),
                item("aiplat-model", {"app.kubernetes.io/managed-by": "aiplat"}),
                item("team-red", {"aiplat.dev/managed-by": "operator"}),
                item("aiplat-notes"),
            ],
            "customresourcedefinitions": [
                item("tills.shop.example", annotations={"meta.helm.sh/release-namespace": "shop"}),
                item("notes.shop.example", annotations={"meta.helm.sh/release-namespace": "aiplat-notes"}),
                item("models.aiplat.dev", annotations={"meta.helm.sh/release-namespace": "aiplat-model"}),
            ],
            "persistentvolumes": [
                volume("pv-shop", "shop", "Delete"),
                volume("pv-kept", "aiplat-model", "Retain"),
            ],
        }

    def kubectl(self, *arguments: str, **_more: Any) -> str:
        """Answer as kubectl."""
        if arguments[:2] == ("get", "secrets"):
            names = (("aiplat-access", "gateway"), ("aiplat-model", "operator"))
            return "\n".join(ROW.format(ns=ns, name=name) for ns, name in names)
        if arguments[0] == "get":
            return json.dumps({"items": self.objects[arguments[1]]})
        self.calls.append(" ".join(arguments[:-2]))
        if (arguments[1] == "namespace" and arguments[0] == "label") or arguments[0:2] == (
            "delete",
            TEAM_KINDS,
        ):
            return ""
        left = [i for i in self.objects[f"{arguments[1]}s"] if i["metadata"]["name"] not in arguments]
        self.objects[f"{arguments[1]}s"] = left
        return ""

    def run(self, argv: list[str], *_more: Any) -> str:
        """Answer as helm."""
        self.calls.append(f"helm {' '.join(argv[1:5])}")
        return ""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, Cluster]:
    """The module, over a cluster that somebody else uses too."""
    loaded, cluster = load_module("cluster_reset/library/emptied_cluster.py"), Cluster()
    monkeypatch.setattr(loaded, "kubectl", cluster.kubectl)
    monkeypatch.setattr(loaded, "run", cluster.run)
    return loaded, cluster


def test_ours_goes_and_others_stays(module: tuple[ModuleType, Cluster]) -> None:
    """The operator's release goes first, so that it makes nothing again; teams' namespaces are ours too."""
    loaded, cluster = module
    notes = loaded.empty(1, check=False)
    assert cluster.calls == [
        "helm uninstall operator --namespace aiplat-model",
        "helm uninstall gateway --namespace aiplat-access",
        "delete customresourcedefinition models.aiplat.dev",
        "delete namespace aiplat-model team-red",
    ]
    assert [i["metadata"]["name"] for i in cluster.objects["namespaces"]] == ["shop", "aiplat-notes"]
    assert notes[-1] == "volume pv-kept stays: its class keeps it"


def given(name: str) -> dict[str, Any]:
    """A namespace that its owner gave to a team by a label, as the API server remembers it."""
    space = item(name, {"aiplat.dev/team": name, "aiplat.dev/managed-by": "operator"})
    fields: dict[str, Any] = {"f:metadata": {"f:labels": {"f:aiplat.dev/team": {}}}}
    managers = ("kubectl-label", "aiplat-operator")
    space["metadata"]["managedFields"] = [{"manager": manager, "fieldsV1": fields} for manager in managers]
    return space


def test_a_namespace_that_was_given_to_a_team_stays(module: tuple[ModuleType, Cluster]) -> None:
    """Its owner had it before: the operator's own objects and marks go, and all else in it is as it was."""
    loaded, cluster = module
    cluster.objects["namespaces"].append(given("research"))
    assert "namespace research stays: it was there before its Team" in loaded.empty(1, check=False)
    assert f"delete {TEAM_KINDS} --namespace research" in cluster.calls
    assert "label namespace research" in cluster.calls
    assert "delete namespace aiplat-model team-red" in cluster.calls
    assert "research" in [i["metadata"]["name"] for i in cluster.objects["namespaces"]]


def test_a_check_changes_nothing(module: tuple[ModuleType, Cluster]) -> None:
    """It says what would go."""
    loaded, cluster = module
    assert "namespace team-red is gone" in loaded.empty(1, check=True)
    assert cluster.calls == []


def test_what_does_not_go_in_time_is_named(
    module: tuple[ModuleType, Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nobody takes a reset for done that is not."""
    loaded, cluster = module
    monkeypatch.setattr(loaded, "PAUSE_SECONDS", 0)
    cluster.objects["persistentvolumes"].append(volume("pv-stuck", "aiplat-model", "Delete"))
    with pytest.raises(loaded.HostProblem, match="persistentvolume/pv-stuck"):
        loaded.empty(0, check=False)
