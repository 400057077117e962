"""Nodes are labelled for their GPUs, waited for, and watched until they stay Ready."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.roles.conftest import load_module

PLUGIN, MIG = "nvidia.com/device-plugin.config", "nvidia.com/mig.config"
SLICED = {
    "name": "s1",
    "labels": {PLUGIN: "time-slicing-4"},
    "resources": {"nvidia.com/gpu": 4},
    "says": "4 nvidia.com/gpu, no memory isolation",
}
PARTED = {
    "name": "s1",
    "labels": {PLUGIN: "whole", MIG: "1g.10gb-7"},
    "resources": {"nvidia.com/mig-1g.10gb": 7},
    "says": "7 nvidia.com/mig-1g.10gb, memory and faults apart",
}


class Cluster:
    """A node as kubectl shows it; what a device plugin makes of its labels is in `offers`."""

    def __init__(self) -> None:
        self.node: dict[str, Any] = {
            "metadata": {"name": "s1", "labels": {}, "annotations": {}},
            "spec": {},
            "status": {"allocatable": {"cpu": "4"}},
        }
        self.offers: dict[str, dict[str, str]] = {}
        self.pods: list[dict[str, Any]] = []
        self.configs: dict[str, dict[str, str]] = {}
        self.ready: Iterator[tuple[str, str]] = iter(lambda: ("True", "then"), None)
        self.said: list[str] = []
        self.renewals = 0

    def kubectl(self, *words: str, **_: Any) -> str:
        """Answer as kubectl would; what changes something is kept in `said`."""
        line = " ".join(words)
        if line.startswith("get node"):
            status, since = next(self.ready)
            condition = {"type": "Ready", "status": status, "lastTransitionTime": since, "message": "PLEG"}
            return json.dumps({**self.node, "status": {**self.node["status"], "conditions": [condition]}})
        if "get lease" in line:
            self.renewals += 1
            return str(self.renewals)
        if line.startswith("get pods"):
            return json.dumps({"items": self.pods})
        if line.startswith("get --namespace"):
            found = self.configs.get(words[4])
            return json.dumps({"data": found}) if found is not None else ""
        self.said.append(line)
        self._do(words)
        return ""

    def _do(self, words: tuple[str, ...]) -> None:
        kind = {"label": "labels", "annotate": "annotations"}.get(words[0])
        if kind:
            for word in (w for w in words[3:] if not w.startswith("--")):
                name, sets, value = word.partition("=")
                if sets:
                    self.node["metadata"][kind][name] = value
                else:
                    self.node["metadata"][kind].pop(name.removesuffix("-"), None)
        if words[0] in {"cordon", "uncordon"}:
            self.node["spec"]["unschedulable"] = words[0] == "cordon"
        labels = self.node["metadata"]["labels"]
        wanted = self.offers.get(labels.get(MIG, ""), self.offers.get(labels.get(PLUGIN, "")))
        if wanted is not None:
            self.node["status"]["allocatable"] = {"cpu": "4", **wanted}


@pytest.fixture
def cluster() -> Cluster:
    """A node without a device plugin."""
    return Cluster()


@pytest.fixture
def module(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, which asks that cluster and does not pause."""
    loaded = load_module("gpu_sharing/library/shared_gpus.py")
    monkeypatch.setattr(loaded, "kubectl", cluster.kubectl)
    monkeypatch.setattr(loaded, "PAUSE_SECONDS", 0.0)
    return loaded


def share(module: ModuleType, node: dict[str, Any], *, seconds: float = 600, check: bool = False) -> bool:
    """Make the node offer what is wanted; whether it was changed."""
    return bool(module.share(node, module.time.monotonic() + seconds, 6, check))


def test_a_node_without_a_device_plugin_gets_its_labels_alone(module: ModuleType, cluster: Cluster) -> None:
    """The plugin comes with a later step and finds them; a second run changes nothing."""
    assert share(module, SLICED) is True
    assert cluster.said == [f"label node s1 --overwrite {PLUGIN}=time-slicing-4"]
    assert share(module, SLICED) is False
    assert len(cluster.said) == 1


def test_a_running_plugin_is_waited_for_until_it_offers_what_is_wanted(
    module: ModuleType, cluster: Cluster
) -> None:
    """What it offered before does not count; pods stay where they are."""
    cluster.node["status"]["allocatable"] = {"nvidia.com/gpu": "1"}
    cluster.offers = {"time-slicing-4": {"nvidia.com/gpu": "4"}}
    assert share(module, SLICED) is True
    assert not any("cordon" in line for line in cluster.said)
    cluster.offers = {"time-slicing-4": {"nvidia.com/gpu": "2"}}
    cluster.node["metadata"]["labels"] = {}
    with pytest.raises(module.HostProblem, match=r"s1 offers 2 nvidia\.com/gpu, expected 4 nvidia\.com/gpu"):
        share(module, SLICED, seconds=-1)


def test_cards_are_emptied_before_mig_parts_them(module: ModuleType, cluster: Cluster) -> None:
    """Pods with GPUs leave a cordoned node, others and DaemonSets' stay; it takes pods again afterwards."""
    gpu = {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "1"}}}]}
    daemon = [{"kind": "DaemonSet"}]
    cluster.pods = [
        {"metadata": {"name": "engine", "namespace": "aiplat-model"}, "spec": gpu},
        {"metadata": {"name": "other", "namespace": "x"}, "spec": {"containers": [{}]}},
        {"metadata": {"name": "dcgm", "namespace": "x", "ownerReferences": daemon}, "spec": gpu},
    ]
    cluster.node["status"]["allocatable"] = {"nvidia.com/gpu": "1"}
    cluster.offers = {"1g.10gb-7": {"nvidia.com/gpu": "0", "nvidia.com/mig-1g.10gb": "7"}}
    assert share(module, PARTED) is True
    verbs = [line.split(" s1")[0].split(" --timeout")[0] for line in cluster.said]
    assert verbs == [
        "annotate node",
        "cordon",
        "--namespace aiplat-model delete pod engine",
        "label node",
        "uncordon",
        "annotate node",
    ]


def test_a_node_that_a_person_cordoned_stays_cordoned(module: ModuleType, cluster: Cluster) -> None:
    """Only what the role did itself is undone."""
    cluster.node["spec"]["unschedulable"] = True
    cluster.node["status"]["allocatable"] = {"nvidia.com/gpu": "1"}
    cluster.offers = {"1g.10gb-7": {"nvidia.com/mig-1g.10gb": "7"}}
    assert share(module, PARTED) is True
    assert cluster.node["spec"]["unschedulable"] is True


def test_a_label_that_is_no_longer_wanted_goes(module: ModuleType, cluster: Cluster) -> None:
    """A card of another kind has no MIG."""
    cluster.node["metadata"]["labels"] = {PLUGIN: "whole", MIG: "all-disabled"}
    assert share(module, SLICED) is True
    assert cluster.node["metadata"]["labels"] == {PLUGIN: "time-slicing-4"}


def test_a_break_of_ready_begins_the_watch_again(module: ModuleType, cluster: Cluster) -> None:
    """Six signs of life without a break, whatever was before."""
    told = [("True", "a")] * 5 + [("False", "b")] + [("True", "c")] * 7
    cluster.ready = iter(told)
    module.stays_ready("s1", 6, module.time.monotonic() + 600)
    assert list(cluster.ready) == []


def test_a_node_that_does_not_stay_ready_is_a_failure(module: ModuleType, cluster: Cluster) -> None:
    """In the kubelet's own words."""
    cluster.ready = iter(lambda: ("False", "b"), None)
    with pytest.raises(module.HostProblem, match="s1 does not stay Ready: PLEG"):
        module.stays_ready("s1", 6, module.time.monotonic() - 1)


def test_configurations_that_are_there_are_brought_up_to_date(module: ModuleType, cluster: Cluster) -> None:
    """Before a label names an entry of them; what is not there comes with its release."""
    config = {"name": "gpu-sharing", "namespace": "aiplat-gpu", "data": {"time-slicing-4": "new"}}
    assert module.update_config(config, False) is False
    cluster.configs = {"gpu-sharing": {"whole": "old", "time-slicing-4": "new"}}
    assert module.update_config(config, False) is False
    cluster.configs = {"gpu-sharing": {"whole": "old"}}
    assert module.update_config(config, False) is True
    assert cluster.said[-1].endswith('{"data": {"time-slicing-4": "new"}}')


def test_check_mode_changes_nothing(module: ModuleType, cluster: Cluster) -> None:
    """It says what it would do."""
    assert share(module, SLICED, check=True) is True
    assert cluster.said == []
