"""What clusters that others made lack, by what kind, k3d and managed ones say of themselves (constructed)."""

from __future__ import annotations

from typing import Any

from aiplat.cluster.look import SeenCluster, SeenNode
from aiplat.plan.cluster_needs import RIGHTS, judge_cluster

NODE = SeenNode(
    name="kind-control-plane", arch="amd64", system="linux", runtime="containerd://2.2.0", memory="8Gi"
)


def seen(**other: Any) -> SeenCluster:
    """A kind cluster with everything, but for what is said otherwise."""
    said: dict[str, Any] = {
        "server": "https://127.0.0.1:6443",
        "version": "v1.36.1",
        "machines": (NODE,),
        "default_classes": ("standard",),
        "daemons": ("kindnet", "kube-proxy"),
        "ingress_classes": (),
        "namespaces": ("default", "kube-system"),
        "refused": (),
        "image_volumes": True,
    }
    return SeenCluster.model_validate(said | other)


def of(result: str, cluster: SeenCluster) -> dict[str, str]:
    """The needs with one result, by name, with their causes."""
    return {need.name: need.cause for need in judge_cluster(cluster) if need.result == result}


def test_a_new_kind_cluster_has_everything() -> None:
    """Nothing is missing, and nothing is left open."""
    assert of("missing", seen()) == of("unknown", seen()) == {}
    assert of("met", seen())["network-policies"] == "kindnet enforces them"


def test_an_old_cluster_cannot_mount_models() -> None:
    """Version, feature and runtime are each named, with what to do."""
    old = NODE.model_copy(update={"runtime": "containerd://1.7.27"})
    found = of("missing", seen(version="v1.32.4+k3s1", image_volumes=False, machines=(old,)))
    assert found["version"] == "it is Kubernetes v1.32.4+k3s1, and image volumes came with 1.33"
    assert "drops volumes that are images" in found["image-volumes"]
    assert found["runtime"] == "kind-control-plane runs containerd 1.7.27, which cannot mount images"


def test_k3d_says_nothing_of_its_network_plugin() -> None:
    """k3s has it inside: what cannot be seen is open, not missing."""
    k3d = seen(version="v1.35.2+k3s1", daemons=("svclb-traefik",), default_classes=("local-path",))
    assert of("missing", k3d) == {}
    assert "k3s has one inside" in of("unknown", k3d)["network-policies"]


def test_volumes_need_exactly_one_default_class() -> None:
    """None at all, or several, leaves claims waiting."""
    assert of("missing", seen(default_classes=()))["storage"] == "no storage class is the default"
    assert of("missing", seen(default_classes=("a", "b")))["storage"] == "several are: a, b"


def test_rights_that_lack_are_said_as_kubectl_asks_for_them() -> None:
    """Each by itself, in words that can be tried."""
    needs = judge_cluster(seen(refused=RIGHTS[2:4]))
    fixes = [need.fix for need in needs if need.name == "rights"]
    assert fixes == [
        "be allowed to: kubectl auth can-i create deployments.apps",
        "be allowed to: kubectl auth can-i create customresourcedefinitions.apiextensions.k8s.io",
    ]


def test_what_may_not_be_asked_is_open() -> None:
    """A user of one namespace learns what to ask for, and no need counts as met by guess."""
    blind = seen(machines=None, default_classes=None, image_volumes=None, daemons=None, namespaces=None)
    assert set(of("unknown", blind)) == {"nodes", "storage", "image-volumes", "network-policies"}


def test_windows_alone_runs_nothing_of_it() -> None:
    """Nodes count by system and architecture."""
    windows = NODE.model_copy(update={"system": "windows"})
    assert "nodes" in of("missing", seen(machines=(windows,)))


def test_a_platform_that_is_there_already_is_named() -> None:
    """Two would share namespaces."""
    found = of("missing", seen(namespaces=("aiplat-access", "default")))
    assert found["free"] == "namespaces of a platform are there: aiplat-access"
