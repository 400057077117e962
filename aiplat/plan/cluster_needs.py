"""What a cluster that somebody else made lacks for the platform; asking it is aiplat.cluster's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal

from aiplat.cluster.look import Right, SeenCluster
from aiplat.frozen import Frozen

Result = Literal["met", "missing", "unknown"]

RIGHTS = (
    Right(verb="create", group="", resource="namespaces"),
    Right(verb="create", group="", resource="secrets"),
    Right(verb="create", group="apps", resource="deployments"),
    Right(verb="create", group="apiextensions.k8s.io", resource="customresourcedefinitions"),
    Right(verb="create", group="rbac.authorization.k8s.io", resource="clusterroles"),
    Right(verb="create", group="networking.k8s.io", resource="networkpolicies"),
    Right(verb="create", group="admissionregistration.k8s.io", resource="validatingadmissionpolicies"),
    Right(verb="create", group="coordination.k8s.io", resource="leases"),
)
"""What whoever installs the platform must be allowed to do."""
# Models are image volumes (KEP-4639): beta and off in 1.33 and 1.34, on since 1.35.
_OLDEST = (1, 33)
_CONTAINERD = (2, 1)
# Network plugins that enforce network policies, by the names of their daemons.
_ENFORCERS = ("calico", "canal", "cilium", "antrea", "kube-router", "weave", "kindnet", "aws-node", "ovnkube")
_MINE = "aiplat-"


class ClusterNeed(Frozen):
    """One thing that the platform needs of a cluster, and whether it is there."""

    name: str
    result: Result
    cause: str
    fix: str = ""


def judge_cluster(seen: SeenCluster) -> list[ClusterNeed]:
    """Return every need with what was seen, the missing ones first."""
    found = [need for rule in _RULES for need in rule(seen)]
    return sorted(found, key=lambda need: ("missing", "unknown", "met").index(need.result))


def _version(seen: SeenCluster) -> Iterator[ClusterNeed]:
    wanted = ".".join(map(str, _OLDEST))
    if _numbers(seen.version) >= _OLDEST:
        yield ClusterNeed(name="version", result="met", cause=f"it is Kubernetes {seen.version}")
    else:
        cause = f"it is Kubernetes {seen.version}, and image volumes came with {wanted}"
        yield ClusterNeed(
            name="version", result="missing", cause=cause, fix=f"upgrade it to {wanted} or newer"
        )


def _image_volumes(seen: SeenCluster) -> Iterator[ClusterNeed]:
    name = "image-volumes"
    if seen.image_volumes:
        yield ClusterNeed(name=name, result="met", cause="pods may mount images, which is how models come")
    elif seen.image_volumes is None:
        cause, fix = (
            "a dry run of a pod was not allowed",
            "give yourself the right to create pods in `default`",
        )
        yield ClusterNeed(name=name, result="unknown", cause=cause, fix=fix)
    else:
        cause = "its API drops volumes that are images, which is how models come"
        fix = "turn the feature gate ImageVolume on, for the API server and every kubelet"
        yield ClusterNeed(name=name, result="missing", cause=cause, fix=fix)


def _runtime(seen: SeenCluster) -> Iterator[ClusterNeed]:
    for machine in seen.machines or ():
        kind, _, version = machine.runtime.partition("://")
        if kind == "containerd" and _numbers(version) < _CONTAINERD:
            wanted = ".".join(map(str, _CONTAINERD))
            cause = f"{machine.name} runs containerd {version}, which cannot mount images"
            fix = f"upgrade containerd there to {wanted} or newer"
            yield ClusterNeed(name="runtime", result="missing", cause=cause, fix=fix)


def _nodes(seen: SeenCluster) -> Iterator[ClusterNeed]:
    if seen.machines is None:
        yield ClusterNeed(
            name="nodes", result="unknown", cause="nodes may not be listed", fix="ask as an administrator"
        )
    elif not any(m.system == "linux" and m.arch in ("amd64", "arm64") for m in seen.machines):
        fix = "add a Linux node of amd64 or arm64"
        yield ClusterNeed(
            name="nodes", result="missing", cause="none of its nodes is Linux on amd64 or arm64", fix=fix
        )
    else:
        yield ClusterNeed(name="nodes", result="met", cause=f"{len(seen.machines)} nodes: {_told(seen)}")


def _storage(seen: SeenCluster) -> Iterator[ClusterNeed]:
    classes = seen.default_classes
    if classes is None:
        fix = "ask as an administrator"
        yield ClusterNeed(
            name="storage", result="unknown", cause="storage classes may not be listed", fix=fix
        )
    elif len(classes) == 1:
        yield ClusterNeed(name="storage", result="met", cause=f"volumes come from the class {classes[0]}")
    else:
        cause = "no storage class is the default" if not classes else f"several are: {', '.join(classes)}"
        fix = 'mark one with the annotation storageclass.kubernetes.io/is-default-class: "true"'
        yield ClusterNeed(name="storage", result="missing", cause=cause, fix=fix)


def _policies(seen: SeenCluster) -> Iterator[ClusterNeed]:
    daemons = seen.daemons or ()
    known = sorted(name for name in daemons if any(enforcer in name for enforcer in _ENFORCERS))
    if known:
        yield ClusterNeed(name="network-policies", result="met", cause=f"{known[0]} enforces them")
    else:
        cause = "no network plugin that is known to enforce them was seen (k3s has one inside)"
        fix = "see whether a pod that a policy closes can be reached"
        yield ClusterNeed(name="network-policies", result="unknown", cause=cause, fix=fix)


def _rights(seen: SeenCluster) -> Iterator[ClusterNeed]:
    for right in seen.refused:
        fix = f"be allowed to: kubectl auth can-i {right}"
        yield ClusterNeed(name="rights", result="missing", cause=f"you may not {right}", fix=fix)
    if not seen.refused:
        yield ClusterNeed(name="rights", result="met", cause="you may make what the platform consists of")


def _taken(seen: SeenCluster) -> Iterator[ClusterNeed]:
    taken = [name for name in seen.namespaces or () if name.startswith(_MINE)]
    if taken:
        cause = f"namespaces of a platform are there: {', '.join(taken)}"
        fix = "remove that platform first, or take another cluster"
        yield ClusterNeed(name="free", result="missing", cause=cause, fix=fix)


_RULES: tuple[Callable[[SeenCluster], Iterator[ClusterNeed]], ...] = (
    _version,
    _image_volumes,
    _nodes,
    _runtime,
    _storage,
    _policies,
    _rights,
    _taken,
)


def _told(seen: SeenCluster) -> str:
    return ", ".join(f"{m.name} ({m.system}/{m.arch}, {m.runtime or '?'})" for m in seen.machines or ())


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
