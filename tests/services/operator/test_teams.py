"""Passes over Teams: what each gets, who is refused, what stays when one goes, what the gateway is told."""

from __future__ import annotations

import json

from aiplat.services.operator.team_objects import Platform
from aiplat.services.operator.team_pass import TeamKeeper
from tests.services.operator.worlds import Document, MemoryCluster, node, team

PLATFORM = Platform("aiplat-model", "aiplat-access")
BUDGET = {"unit": "tokens", "period": "month", "limit": 1000000}


def run(cluster: MemoryCluster, *, accounts: bool = True) -> bool:
    """Do one pass of a new process."""
    return TeamKeeper(cluster, PLATFORM, accounts).run()


def status(cluster: MemoryCluster, name: str) -> Document:
    """Return what a Team was told."""
    told: Document = cluster.one("Team.aiplat.dev", name, "")["status"]
    return told


def subjects(cluster: MemoryCluster, namespace: str) -> list[str]:
    """Return whom the members' binding names."""
    binding = cluster.one("RoleBinding", "team-members", namespace)
    return [subject["name"] for subject in binding["subjects"]]


def space(name: str, **labels: str) -> Document:
    """Return a namespace that somebody made."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def test_a_team_gets_a_namespace_within_limits_before_anybody_may_use_it() -> None:
    """Restricted pods, a quota with no GPU and no port of nodes; names of the sign-in have its prefix."""
    cluster = MemoryCluster(team("ward", members=["alice"], groups=["nurses"]), node())
    assert run(cluster)
    labels = cluster.one("Namespace", "team-ward", "")["metadata"]["labels"]
    assert labels["aiplat.dev/team"] == "ward"
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    hard = cluster.one("ResourceQuota", "team", "team-ward")["spec"]["hard"]
    assert hard["limits.memory"] == hard["requests.memory"] == "8Gi"
    assert (hard["requests.nvidia.com/gpu"], hard["services.nodeports"]) == ("0", "0")
    assert subjects(cluster, "team-ward") == ["aiplat:alice", "aiplat:nurses", "team-ward"]
    made = [what.split()[1] for what in cluster.written if what.startswith("apply")]
    assert made.index("RoleBinding") > made.index("ResourceQuota") > made.index("Namespace")
    assert status(cluster, "ward")["message"] == "1 member and 1 group may work in team-ward"


def test_teams_pods_reach_each_other_names_and_the_gateway() -> None:
    """One policy for all pods of the namespace; no other way out is in it, and in comes the ingress."""
    cluster = MemoryCluster(team("ward"))
    run(cluster)
    spec = cluster.one("NetworkPolicy", "team", "team-ward")["spec"]
    assert (spec["podSelector"], spec["policyTypes"]) == ({}, ["Ingress", "Egress"])
    out = [rule["to"][0].get("namespaceSelector", {}).get("matchLabels") for rule in spec["egress"]]
    key = "kubernetes.io/metadata.name"
    assert out == [None, {key: "kube-system"}, {key: "aiplat-access"}]
    assert [port["port"] for port in spec["egress"][2]["ports"]] == [8443]


def test_gpus_of_every_kind_that_nodes_have_are_limited() -> None:
    """A MIG instance has a name of its own, which a quota has to know."""
    cluster = MemoryCluster(team("ward", quota={"gpu": 2}), node(allocatable={"nvidia.com/mig-1g.10gb": "7"}))
    run(cluster)
    hard = cluster.one("ResourceQuota", "team", "team-ward")["spec"]["hard"]
    assert {hard[f"requests.nvidia.com/{kind}"] for kind in ("gpu", "mig-1g.10gb")} == {"2"}


def test_a_second_pass_writes_nothing() -> None:
    """And one after somebody took a limit away writes that again."""
    cluster = MemoryCluster(team("ward", members=["alice"], budgets=[BUDGET]), node())
    run(cluster)
    before = len(cluster.written)
    assert run(cluster)
    assert cluster.written[before:] == []
    cluster.one("ResourceQuota", "team", "team-ward")["spec"]["hard"]["pods"] = "1000"
    run(cluster)
    assert cluster.written[before:] == ["apply ResourceQuota team"]


def test_a_namespace_of_others_is_not_taken() -> None:
    """Neither one that was there before nor one of another Team, of which the first has it."""
    first, second = team("one", namespace="lab"), team("two", namespace="lab")
    first["metadata"]["creationTimestamp"], second["metadata"]["creationTimestamp"] = "2", "3"
    cluster = MemoryCluster(first, second, team("three", namespace="theirs"), space("theirs"))
    run(cluster)
    assert status(cluster, "one")["phase"] == "Ready"
    assert status(cluster, "two")["message"].startswith("the namespace lab is that of the Team one")
    assert "label it aiplat.dev/team=three" in status(cluster, "three")["message"]
    assert {namespace for namespace, _ in cluster.kept["RoleBinding"]} == {"lab"}
    cluster.keep(space("theirs", **{"aiplat.dev/team": "three"}))
    run(cluster)
    assert status(cluster, "three")["phase"] == "Ready"


def test_who_goes_loses_access_and_no_data() -> None:
    """The namespace stays with its limits; the Team says so before, and finds it again when it comes back."""
    cluster = MemoryCluster(team("ward", members=["alice"]))
    run(cluster)
    assert status(cluster, "ward")["deletion"] == (
        "the namespace team-ward stays with everything in it; the members' access ends"
    )
    cluster.delete("Team.aiplat.dev", "", "ward")
    run(cluster)
    assert not cluster.names("RoleBinding") | cluster.names("ServiceAccount")
    assert cluster.names("Namespace") == {"team-ward"}
    assert cluster.names("ResourceQuota") == cluster.names("NetworkPolicy") == {"team"}
    cluster.keep(team("ward", members=["bob"]))
    assert run(cluster)
    assert subjects(cluster, "team-ward")[0] == "aiplat:bob"


def test_a_namespace_goes_with_its_team_only_where_that_said_so() -> None:
    """And the Team says beforehand what that takes with it."""
    cluster = MemoryCluster(team("ward", deletionPolicy="Delete"), team("lab"))
    run(cluster)
    assert status(cluster, "ward")["deletion"].startswith("the namespace team-ward is deleted with this Team")
    cluster.delete("Team.aiplat.dev", "", "ward")
    run(cluster)
    assert cluster.names("Namespace") == {"team-lab"}


def test_the_gateway_is_told_models_and_budgets() -> None:
    """In the form of the declared teams; without accounts nobody is told, and the Team says so."""
    cluster = MemoryCluster(team("ward", models=["small*"], budgets=[BUDGET]))
    run(cluster, accounts=False)
    told = {c["type"]: c["reason"] for c in status(cluster, "ward")["conditions"]}
    assert (told["Accounts"], cluster.names("ConfigMap")) == ("NoAccounts", set())
    run(cluster)
    data = cluster.one("ConfigMap", "gateway-teams", "aiplat-access")["data"]
    assert json.loads(data["teams.json"]) == {
        "teams": [
            {
                "name": "ward",
                "description": "",
                "models": ["small*"],
                "budgets": [{"unit": "tokens", "period": "month", "limit": "1000000"}],
            }
        ]
    }


def test_a_pass_that_was_cut_off_anywhere_is_made_good() -> None:
    """After any number of writes nobody has access without limits, and the next pass completes it."""
    for writes in range(9):
        cluster = MemoryCluster(team("ward", members=["alice"]))
        cluster.writes_left = writes
        TeamKeeper(cluster, PLATFORM).run()
        if cluster.names("RoleBinding"):
            assert cluster.names("ResourceQuota") == cluster.names("NetworkPolicy") == {"team"}
        cluster.writes_left = None
        assert run(cluster)
        assert cluster.names("RoleBinding") == {"team-members"}
