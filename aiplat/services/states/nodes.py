"""Series of nodes, namespaces and quotas."""

from __future__ import annotations

from collections.abc import Iterator

from aiplat.cluster.quantity import amount
from aiplat.services.states.amounts import amounts
from aiplat.services.states.series import Document, Sample, counted, one_of

_STATUSES = ("true", "false", "unknown")
_ROLE = "node-role.kubernetes.io/"


def node(document: Document) -> Iterator[Sample]:
    """Yield what there is to say of a node."""
    meta, spec, status = document["metadata"], document.get("spec", {}), document.get("status", {})
    one = {"node": meta["name"]}
    yield _about(document, one)
    yield from counted("kube_node_", one, {"created": meta.get("creationTimestamp")})
    yield Sample("kube_node_spec_unschedulable", one, float(bool(spec.get("unschedulable"))))
    for label in meta.get("labels", {}):
        if label.startswith(_ROLE):
            yield Sample("kube_node_role", {**one, "role": label.removeprefix(_ROLE)}, 1)
    for taint in spec.get("taints") or ():
        said = {key: taint.get(key, "") for key in ("key", "value", "effect")}
        yield Sample("kube_node_spec_taint", {**one, **said}, 1)
    for condition in status.get("conditions", ()):
        labels = {**one, "condition": condition["type"]}
        yield from one_of(
            "kube_node_status_condition", labels, "status", _STATUSES, condition["status"].lower()
        )
    for kind in ("capacity", "allocatable"):
        yield from amounts(f"kube_node_status_{kind}", one, status.get(kind, {}))


def _about(document: Document, one: dict[str, str]) -> Sample:
    spec, status = document.get("spec", {}), document.get("status", {})
    info = status.get("nodeInfo", {})
    addresses = {a["type"]: a["address"] for a in status.get("addresses", ())}
    said = {
        "kernel_version": info.get("kernelVersion", ""),
        "os_image": info.get("osImage", ""),
        "container_runtime_version": info.get("containerRuntimeVersion", ""),
        "kubelet_version": info.get("kubeletVersion", ""),
        "kubeproxy_version": info.get("kubeProxyVersion", ""),
        "provider_id": spec.get("providerID", ""),
        "pod_cidr": spec.get("podCIDR", ""),
        "system_uuid": info.get("systemUUID", ""),
        "internal_ip": addresses.get("InternalIP", ""),
    }
    return Sample("kube_node_info", {**one, **said}, 1)


def namespace(document: Document) -> Iterator[Sample]:
    """Yield what there is to say of a namespace."""
    meta = document["metadata"]
    one = {"namespace": meta["name"]}
    yield from counted("kube_namespace_", one, {"created": meta.get("creationTimestamp")})
    phase = document.get("status", {}).get("phase", "")
    yield from one_of("kube_namespace_status_phase", one, "phase", ("Active", "Terminating"), phase)


def quota(document: Document) -> Iterator[Sample]:
    """Yield each limit of a quota, and how much of it is used."""
    meta, status = document["metadata"], document.get("status", {})
    one = {"namespace": meta["namespace"], "resourcequota": meta["name"]}
    for kind in ("hard", "used"):
        for resource, quantity in (status.get(kind) or {}).items():
            labels = {**one, "resource": resource, "type": kind}
            yield Sample("kube_resourcequota", labels, float(amount(quantity)))
