"""What is seen in a cluster, and what is said when nothing can be seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.cluster.client import Cluster, ClusterUnreachable
from aiplat.errors import BadInput
from tests.cluster import kube as given
from tests.cluster.kube import Kube


def test_a_node_is_ready_or_says_why_not(kube: Kube, cluster: Cluster) -> None:
    """The message is the kubelet's own."""
    kube.lists["nodes"] = [given.node("s1"), given.node("a1", "False", "container runtime is down")]
    good, bad = cluster.nodes()
    assert (good.ready, good.version, good.address, good.problem) == (True, "v9.9.9", "10.0.0.1", "")
    assert (bad.ready, bad.problem) == (False, "container runtime is down")


def test_a_workload_is_available_only_with_its_newest_pods(kube: Kube, cluster: Cluster) -> None:
    """Old pods that still serve do not count for a new form."""
    fine = given.deployment("fine", "n", {"a": "b"})
    rolling = given.deployment("rolling", "n", {"a": "b"}, available=2, wanted=2)
    rolling["status"]["updatedReplicas"] = 1
    unseen = given.deployment("unseen", "n", {"a": "b"})
    unseen["status"]["observedGeneration"] = 1
    broken = given.deployment("broken", "n", {"a": "b"}, available=0)
    kube.lists["deployments"] = [fine, rolling, unseen, broken]
    found = {w.name: w for w in cluster.workloads()}
    assert [name for name, w in found.items() if w.is_available] == ["fine"]
    assert "minimum availability" in found["broken"].problem
    assert found["fine"].title == "deployment/fine"


def test_stateful_sets_and_daemon_sets_are_workloads_too(kube: Kube, cluster: Cluster) -> None:
    """A DaemonSet has no number of replicas; it wants one pod a node."""
    stateful = given.deployment("db", "n", {"a": "b"})
    stateful["spec"]["serviceName"] = "db"
    stateful["status"]["replicas"] = 1
    daemon = given.deployment("agent", "n", {"a": "b"})
    counts = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 2}
    more = {"currentNumberScheduled": 3, "numberMisscheduled": 0, "numberReady": 2, "observedGeneration": 2}
    daemon["status"] = counts | more
    kube.lists["statefulsets"], kube.lists["daemonsets"] = [stateful], [daemon]
    db, agent = cluster.workloads()
    assert (db.kind, db.is_available) == ("StatefulSet", True)
    assert (agent.kind, agent.available, agent.wanted, agent.is_available) == ("DaemonSet", 2, 3, False)


def test_a_pod_names_its_images_and_its_problem(kube: Kube, cluster: Cluster) -> None:
    """Image volumes are images, too; the reason is the most telling one that Kubernetes gives."""
    stuck = {"reason": "ErrImagePull", "message": "not found"}
    waiting = given.pod("p", "n", {"a": "b"}, "x@sha256:1", waiting=stuck)
    waiting["spec"]["volumes"] = [{"name": "m", "image": {"reference": "y@sha256:2"}}]
    kube.lists["pods"] = [waiting, given.pod("q", "other", {"a": "b"}, "z")]
    (pod,) = cluster.pods("n", "a=b")
    assert pod.images == ("x@sha256:1", "y@sha256:2")
    assert (pod.ready, pod.problem) == (False, "ErrImagePull: not found")
    assert len(cluster.pods()) == 2


def test_a_release_counts_at_its_newest_revision(kube: Kube, cluster: Cluster) -> None:
    """Helm keeps a Secret for every revision; ten comes after nine."""
    kube.lists["secrets"] = [
        given.release("g", "n", "superseded", 9),
        given.release("g", "n", "failed", 10),
        given.release("o", "m"),
    ]
    assert [(r.name, r.revision, r.status) for r in cluster.releases()] == [
        ("o", 1, "deployed"),
        ("g", 10, "failed"),
    ]
    assert (
        "fieldSelector=type%3Dhelm.sh%2Frelease.v1" in kube.asked[-1]
        or "helm.sh/release.v1" in kube.asked[-1]
    )


def test_a_policy_denies_by_default_only_if_it_allows_nothing(kube: Kube, cluster: Cluster) -> None:
    """One with a rule, or for some pods only, is something else."""
    with_rule = given.closed("b")
    with_rule["spec"]["egress"] = [{}]
    kube.lists["networkpolicies"] = [given.closed("a"), with_rule]
    first, second = cluster.network_policies()
    assert (first.selects_all, first.denies_ingress, first.denies_egress) == (True, True, True)
    assert second.denies_egress is False


def test_namespaces_and_services_come_with_their_labels(kube: Kube, cluster: Cluster) -> None:
    """A headless Service has no address."""
    kube.lists["namespaces"] = [{"metadata": given.meta("a", labels={"x": "y"})}]
    headless = given.service("h", "n", {"aiplat.dev/model": "m"}, 1)
    headless["spec"]["clusterIP"] = "None"
    kube.lists["services"] = [headless, given.service("s", "n", {}, 443)]
    assert cluster.namespaces() == {"a": {"x": "y"}}
    assert [(s.name, s.address) for s in cluster.services("aiplat.dev/model")] == [("h", "")]


@pytest.mark.parametrize("code", [0, 7])
def test_a_command_in_a_pod_gives_output_and_exit_code(kube: Kube, cluster: Cluster, code: int) -> None:
    """Over the WebSocket protocol of `kubectl exec`."""
    kube.lists["pods"] = [given.pod("p", "n", {}, "i")]
    kube.executed = lambda pod, command: (f"{pod}: {' '.join(command)}", code)
    ran = cluster.run_in_pod(cluster.pods("n")[0], ["echo", "a b"])
    assert (ran.code, ran.output) == (code, "p: echo a b")


def test_a_refusal_names_the_api_and_the_reason(kube: Kube, cluster: Cluster) -> None:
    """One sentence, no traceback, no second try."""
    kube.refuse = 403
    with pytest.raises(ClusterUnreachable, match=r"Kubernetes API http://127.*cannot be asked: Forbidden"):
        cluster.nodes()


def test_an_api_that_is_gone_is_said_soon(kube: Kube, tmp_path: Path) -> None:
    """Nobody listens any more."""
    kube.port = 1
    kube.write_kubeconfig(tmp_path / "kubeconfig")
    with pytest.raises(ClusterUnreachable, match="cannot be asked"):
        Cluster(tmp_path / "kubeconfig").version()


def test_a_damaged_kubeconfig_says_how_to_get_another(tmp_path: Path) -> None:
    """The file is named."""
    (tmp_path / "kubeconfig").write_text("]")
    with pytest.raises(BadInput, match=r"(?s)kubeconfig: is not a kubeconfig.*aiplat bootstrap"):
        Cluster(tmp_path / "kubeconfig")


def test_a_site_that_was_never_bootstrapped_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no kubeconfig in its state."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))
    with pytest.raises(BadInput, match="has no cluster that is known on this machine"):
        Cluster.of_site("nowhere")
