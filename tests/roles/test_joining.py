"""What k3s' nodes depend on: the interface of the node's address, its password, a DNS server that runs."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.plan.steps import managed
from aiplat.shipped import shipped
from tests.roles.conftest import RunModule, load_module

LINKS: list[dict[str, Any]] = [
    {"ifname": "lo", "addr_info": [{"local": "127.0.0.1"}]},
    {"ifname": "ens3", "addr_info": [{"local": "192.168.7.11"}]},
    {"ifname": "ens4", "addr_info": [{"local": "10.0.0.11"}, {"local": "fd00::11"}]},
]


def test_the_pod_network_goes_by_the_interface_of_the_nodes_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host with two network cards that need not be the one with the default route."""
    module = load_module("aiplat_modules/library/node_facts.py")
    monkeypatch.setattr(module, "run", lambda _argv: json.dumps(LINKS))
    assert module.interface_of(["10.0.0.11"]) == "ens4"
    assert module.interface_of(["fd00::11"]) == "ens4"
    assert module.interface_of(["fd00::11", "10.0.0.11"]) == "ens4"
    with pytest.raises(module.HostProblem, match=r"holds 10.9.9.9 \(it has 192.168.7.11 on ens3, 10.0.0.11"):
        module.interface_of(["10.9.9.9"])
    with pytest.raises(module.HostProblem, match=r"holds 192.168.7.11 and fd00::11 \(it has 192"):
        module.interface_of(["192.168.7.11", "fd00::11"])


@pytest.mark.parametrize("role", ["k3s_server", "k3s_agent"])
def test_server_and_agent_say_which_interface_flannel_takes(role: str) -> None:
    """Left to itself, flannel takes the interface of the default route, and does not start without one."""
    variables = YAML(typ="safe").load(shipped(f"roles/{role}/vars/main.yml"))[f"{role}_config"]
    assert variables["flannel-iface"] == f"{{{{ {role}_interface or {role}_host.interface }}}}"
    assert variables["node-ip"] == f"{{{{ {role}_host.node_ips | join(',') }}}}"


STRANGERS = [
    # state of the unit, whether the password is on disk, what the unit said
    ("inactive", False, ""),
    ("activating", True, "Node password rejected, duplicate hostname or contents of …"),
]
KNOWN = [
    ("activating", True, "waiting for the server"),
    ("inactive", True, ""),
    ("active", False, "Node password rejected"),
]


@pytest.mark.parametrize("seen", [*STRANGERS, *KNOWN])
def test_a_host_without_its_nodes_password_is_a_stranger(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seen: tuple[str, bool, str]
) -> None:
    """One that was turned away is, too; one whose agent runs is not, so that no living node is deleted."""
    active, password, journal = seen
    module = load_module("k3s_agent/library/agent_identity.py")
    monkeypatch.setattr(module, "said", lambda *argv: active if argv[0] == "systemctl" else journal)
    if password:
        (tmp_path / "etc/rancher/node").mkdir(parents=True)
        (tmp_path / "etc/rancher/node/password").write_text("secret")
    assert module.is_stranger(str(tmp_path), "k3s-agent.service") is (seen in STRANGERS)


def test_what_the_former_node_ran_stops_before_the_host_joins_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its pods have addresses of a network that the next node lacks; what stays is an error with its name."""
    module = load_module("k3s_agent/library/former_pods.py")
    calls: list[list[str]] = []
    monkeypatch.setattr(module, "run", calls.append)
    here = {"links": ["cni0", "flannel.1"], "processes": ["7"], "mounts": list[str]()}
    kinds = [module.Kind(name, found.copy, lambda _, f=found: f.clear()) for name, found in here.items()]
    monkeypatch.setattr(module, "kinds", lambda _k3s, _kubelet: kinds)
    unit, kubelet = "k3s-agent.service", "/var/lib/kubelet"
    assert module.stop(unit, str(tmp_path), kubelet, check=False) == []
    (tmp_path / "agent").mkdir()
    notes = ["of the former node: links: 2", "of the former node: processes: 1"]
    assert module.stop(unit, str(tmp_path), kubelet, check=True) == notes
    assert calls == []
    assert module.stop(unit, str(tmp_path), kubelet, check=False) == notes
    assert calls == [["systemctl", "stop", unit]]
    assert module.stop(unit, str(tmp_path), kubelet, check=False) == []
    with pytest.raises(module.HostProblem, match="still on the host: links: cni0; reboot the host"):
        module.remove(module.Kind("links", lambda: ["cni0"], lambda _: None), check=False)


def test_the_registry_stays_up_while_the_pods_of_a_former_node_stop() -> None:
    """A reset takes both; a host that joins again keeps what serves the others their images."""
    load_module("k3s_agent/library/former_pods.py")
    remains = sys.modules["ansible.module_utils.host_remains"]
    of_all = managed("host_reset")
    every = remains.processes(["/k3s"], of_all["dirs"], of_all["units"])
    reset, join = (kind.find.args[1:] for kind in (every, remains.kubernetes_processes(["/k3s"])))
    for less, more in zip(join, reset, strict=True):
        assert set(less) < set(more)
        assert not [word for word in less if "registry" in word or "aiplat" in word]


def volume(host: str, claim: str) -> dict[str, Any]:
    """Return a volume as the local storage provisioner makes them."""
    key = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [key]}]}}
    return {"spec": {"nodeAffinity": affinity, "claimRef": {"namespace": "aiplat-data", "name": claim}}}


def test_the_cluster_forgets_a_node_with_its_password(
    monkeypatch: pytest.MonkeyPatch, run_module: RunModule
) -> None:
    """Node and Secret go, and the claims whose volume was on the old disk are named."""
    there = {"node/a1", "secret/a1.node-password.k3s", "node/s1"}

    def kubectl(*arguments: str) -> str:
        if arguments[:2] == ("get", "persistentvolumes"):
            return json.dumps({"items": [volume("a1", "data"), volume("a11", "other"), {"spec": {}}]})
        name = f"{arguments[1]}/{arguments[2]}"
        if arguments[0] == "delete":
            there.discard(name)
        return name if name in there else ""

    module = load_module("aiplat_modules/library/forgotten_node.py")
    monkeypatch.setattr(module, "kubectl", kubectl)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)
    notes = module.forget("a1", 5, check=False)
    assert there == {"node/s1"}
    assert notes == [
        "a1: the cluster forgot node/a1 and secret/a1.node-password.k3s",
        "what the volume of aiplat-data/data held is lost",
    ]
    assert module.forget("a1", 5, check=False) == []


def test_the_name_server_counts_when_a_replica_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """k3s lets CoreDNS be Available with none, so that condition says nothing about names."""
    tasks = YAML(typ="safe").load(shipped("roles/k3s_server/tasks/main.yml"))
    waited = next(task["cluster_wait"]["objects"] for task in tasks if "cluster_wait" in task)
    assert "'deployment/coredns': 'a ready replica'" in waited
    module = load_module("aiplat_modules/library/cluster_wait.py")
    asked: list[str] = []
    monkeypatch.setattr(module, "kubectl", lambda *argv, **_more: asked.append(argv[4]))
    module.wait("kube-system", "deployment/coredns", "a ready replica", 1e12)
    assert asked == ["--for=create", "--for=jsonpath={.status.readyReplicas}"]


def test_what_kubernetes_changes_is_recorded_once_and_before_it(
    tmp_path: Path, run_module: RunModule
) -> None:
    """A second run keeps the first record; a host that has Kubernetes already is not recorded."""
    setting = tmp_path / "proc/sys/net/netfilter/nf_conntrack_max"
    setting.parent.mkdir(parents=True)
    setting.write_text("65536\n")
    module = "aiplat_modules/library/host_before.py"
    first = run_module(module, site="ward", root=str(tmp_path))
    assert first["before"]["sysctls"] == {"net.netfilter.nf_conntrack_max": "65536"}
    setting.write_text("131072\n")
    again = run_module(module, site="ward", root=str(tmp_path))
    assert (again["changed"], again["before"]) == (False, first["before"])
    ledger = tmp_path / "var/lib/aiplat/ledger.json"
    document = json.loads(ledger.read_text())
    del document["before"]
    ledger.write_text(json.dumps(document | {"steps": {"k3s_agent": {}}}))
    assert run_module(module, site="ward", root=str(tmp_path))["changed"] is False


@pytest.mark.parametrize(
    ("unschedulable", "pods", "notes"),
    [
        (False, 1, ["a1 takes no more pods", "t/p0 left a1"]),
        (False, 0, ["a1 takes no more pods"]),
        (True, 0, []),
    ],
    ids=["with a pod", "empty", "drained before"],
)
def test_a_node_is_drained_once(
    monkeypatch: pytest.MonkeyPatch, unschedulable: bool, pods: int, notes: list[str]
) -> None:
    """Pods of DaemonSets and ended ones do not count; a second time there is nothing to do."""
    module = load_module("aiplat_modules/library/drained_node.py")
    running = [
        {"metadata": {"namespace": "t", "name": f"p{i}"}, "status": {"phase": "Running"}} for i in range(pods)
    ]
    daemon = {
        "metadata": {"namespace": "t", "name": "d", "ownerReferences": [{"kind": "DaemonSet"}]},
        "status": {},
    }
    ended = {"metadata": {"namespace": "t", "name": "e"}, "status": {"phase": "Succeeded"}}
    answers = {
        "pods": json.dumps({"items": [*running, daemon, ended]}),
        "node": json.dumps({"spec": {"unschedulable": unschedulable}}),
    }
    monkeypatch.setattr(module, "kubectl", lambda *words, **_more: answers.get(words[1], ""))
    assert module.drain("a1", False, 5, False) == notes


def test_a_node_counts_when_its_kubelet_was_heard_of_since_it_was_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A node is called Ready long after its kubelet lost the API server: the lease tells."""
    module = load_module("aiplat_modules/library/cluster_wait.py")
    answers = iter(["", "2026-11-26T10:00:00.000000Z", "2026-11-26T10:00:30.500000Z"])
    asked: list[tuple[str, ...]] = []

    def kubectl(*words: str, timeout: float) -> str:
        asked.append(words)
        return next(answers)

    monkeypatch.setattr(module, "kubectl", kubectl)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)
    started = datetime(2026, 11, 26, 10, 0, 20, tzinfo=UTC).timestamp()
    module.wait_for_life("a1", started, time.monotonic() + 60)
    assert len(asked) == 3
    monkeypatch.setattr(module, "kubectl", lambda *_words, timeout: "2026-11-26T10:00:00.000000Z")  # noqa: ARG005
    with pytest.raises(module.HostProblem, match="kubelet of a1 does not reach the API server"):
        module.wait_for_life("a1", started, time.monotonic() - 1)


@pytest.mark.parametrize("role", ["k3s_server", "k3s_agent"])
def test_server_and_agent_wait_for_a_sign_of_life(role: str) -> None:
    """Since the unit was started, as the unit itself says."""
    tasks = YAML(typ="safe").load(shipped(f"roles/{role}/tasks/main.yml"))
    unit = next(task["register"] for task in tasks if "systemd_unit" in task)
    (waiting,) = [task["cluster_wait"] for task in tasks if "cluster_wait" in task]
    assert waiting["alive"] == f"{{{{ {{inventory_hostname: {unit}.since}} }}}}"
