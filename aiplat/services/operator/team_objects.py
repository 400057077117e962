"""`team_objects(team, …)`: what a Team gets in the cluster, as documents; asks the cluster nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiplat.services.operator.model_spec import MANAGED_BY
from aiplat.services.operator.team_spec import DELETION_POLICY, TEAM, TeamSpec

Document = dict[str, Any]

GATEWAY_TEAMS = "gateway-teams"
MEMBER_ROLE = "aiplat-team-member"
SIGNED_IN = "aiplat:"
"""What the API server puts before names and groups of the sign-in."""
_RBAC = "rbac.authorization.k8s.io"
_GPU = "nvidia.com/gpu"


@dataclass(frozen=True)
class Platform:
    """Where the platform has its parts: the operator and its accounts, and the gateway."""

    namespace: str
    gateway_namespace: str


def team_objects(team: TeamSpec, platform: Platform, gpus: Iterable[str] = ()) -> list[Document]:
    """Return what a Team gets, in the order it is made: nobody comes in before the limits are there.

    `gpus` are the names of the GPU resources that the cluster's nodes have.
    """
    return [
        _namespace(team),
        _quota(team, gpus),
        _limits(team),
        _network_policy(team, platform),
        _account(team, platform),
        _binding(team, platform),
    ]


def gateway_teams(teams: Iterable[TeamSpec], namespace: str) -> Document:
    """Return the ConfigMap from which the gateway takes models and budgets of Teams."""
    entries = [
        {
            "name": team.name,
            "description": team.description,
            "models": list(team.models),
            "budgets": [{**budget, "limit": str(budget["limit"])} for budget in team.budgets],
        }
        for team in sorted(teams, key=lambda t: t.name)
    ]
    meta = {"name": GATEWAY_TEAMS, "namespace": namespace, "labels": {MANAGED_BY: "operator"}}
    data = {"teams.json": json.dumps({"teams": entries}, indent=1)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def _meta(team: TeamSpec, name: str, namespace: str = "") -> Document:
    labels = {TEAM: team.name, MANAGED_BY: "operator"}
    return {"name": name, "labels": labels, **({"namespace": namespace} if namespace else {})}


def _namespace(team: TeamSpec) -> Document:
    meta = _meta(team, team.namespace)
    meta["labels"] |= {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in _MODES}
    policy = "Delete" if team.deletes else "Keep"
    meta["annotations"] = {DELETION_POLICY: policy}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}


_MODES = ("enforce", "audit", "warn")


def _quota(team: TeamSpec, gpus: Iterable[str]) -> Document:
    wanted = {name: str(amount) for name, amount in team.quota.items()}
    hard = {"pods": wanted.get("pods", "20"), "requests.cpu": wanted.get("cpu", "4")}
    memory, storage = wanted.get("memory", "8Gi"), wanted.get("storage", "20Gi")
    hard |= {"requests.memory": memory, "limits.memory": memory, "requests.storage": storage}
    hard |= {f"requests.{name}": wanted.get("gpu", "0") for name in sorted({_GPU, *gpus})}
    # Ports of every node are not a team's.
    hard |= {"services.nodeports": "0", "services.loadbalancers": "0"}
    meta = _meta(team, "team", team.namespace)
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard}}


def _limits(team: TeamSpec) -> Document:
    """Return what a container gets that asks for nothing: under a quota it would be refused."""
    limit = {
        "type": "Container",
        "default": {"memory": "512Mi", "ephemeral-storage": "2Gi"},
        "defaultRequest": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
    }
    meta = _meta(team, "team", team.namespace)
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": {"limits": [limit]}}


def _network_policy(team: TeamSpec, platform: Platform) -> Document:
    """Return the policy of all pods: out to each other, DNS and the gateway; in from the ingress too."""
    own: Document = {"podSelector": {}}
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    gateway = _pods(platform.gateway_namespace, {"app.kubernetes.io/name": "gateway"})
    ingress = _pods(platform.gateway_namespace, {"app.kubernetes.io/name": "ingress"})
    spec = {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [own, ingress]}],
        "egress": [
            {"to": [own]},
            {"to": [_pods("kube-system", {"k8s-app": "kube-dns"})], "ports": names},
            {"to": [gateway], "ports": [{"protocol": "TCP", "port": 8443}]},
        ],
    }
    meta = _meta(team, "team", team.namespace)
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}


def _pods(namespace: str, labels: dict[str, str]) -> Document:
    inside = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return {"namespaceSelector": inside, "podSelector": {"matchLabels": labels}}


def _account(team: TeamSpec, platform: Platform) -> Document:
    meta = _meta(team, team.account, platform.namespace)
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": meta,
        "automountServiceAccountToken": False,
    }


def _binding(team: TeamSpec, platform: Platform) -> Document:
    named = [("User", name) for name in team.members] + [("Group", name) for name in team.groups]
    subjects: list[Document] = [
        {"apiGroup": _RBAC, "kind": kind, "name": f"{SIGNED_IN}{name}"} for kind, name in named
    ]
    subjects.append({"kind": "ServiceAccount", "name": team.account, "namespace": platform.namespace})
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": MEMBER_ROLE}
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": _meta(team, "team-members", team.namespace),
        "roleRef": role,
        "subjects": subjects,
    }
