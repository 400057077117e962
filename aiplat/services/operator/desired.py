"""`desired(engaged, …)`: the objects that serve a Model, as documents; asks the cluster nothing."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from aiplat.services.operator.cache import claim
from aiplat.services.operator.decide import Engaged
from aiplat.services.operator.engines import (
    GRACE_SECONDS,
    HOME,
    adapter_mount,
    command_of,
    drain,
    environment_of,
    probe_of,
)
from aiplat.services.operator.model_spec import MANAGED_BY, ModelSpec

Document = dict[str, Any]

LABEL_MODEL, LABEL_ENGINE = "aiplat.dev/model", "aiplat.dev/engine"
OWNED = "aiplat.dev/managed-by=operator"
MODEL_UID, MODEL_TITLE = "aiplat.dev/model-uid", "aiplat.dev/model-object"
UID = 10001
NVIDIA_RUNTIME = "nvidia"
"""The RuntimeClass with which k3s starts containers that are to have GPUs; k3s brings it."""


def desired(engaged: Engaged, namespace: str, replicas: int, runtimes: Container[str] = ()) -> list[Document]:
    """Return what serves a Model, in the order it is made: what the Deployment needs comes before it.

    `runtimes` are the names of the cluster's RuntimeClasses.
    """
    deployment = _deployment(engaged, namespace, replicas)
    if engaged.gpus and NVIDIA_RUNTIME in runtimes:
        deployment["spec"]["template"]["spec"]["runtimeClassName"] = NVIDIA_RUNTIME
    return [
        _service(engaged, namespace),
        _disruption_budget(engaged, namespace),
        *_cache(engaged, namespace),
        deployment,
    ]


def _cache(engaged: Engaged, namespace: str) -> list[Document]:
    kept = engaged.engine.run.compile_cache
    if not engaged.cache or kept is None:
        return []
    return [claim(_meta(engaged.model_spec, engaged.engine_name, namespace), engaged.cache, kept.size)]


def object_name(model_spec: ModelSpec) -> str:
    """Return the name of the objects that serve a Model.

    Engines of the site's own models were `model-SLUG` of a Helm release once: under another name the new ones
    serve before that release goes.
    """
    return f"{'engine' if model_spec.by_site else 'model'}-{model_spec.slug}"


def _disruption_budget(engaged: Engaged, namespace: str) -> Document:
    """Return the budget by which a node that is emptied takes one replica at a time, never the last but one.

    A model with a single replica may go: a node could never be emptied otherwise.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _meta(engaged.model_spec, engaged.engine_name, namespace),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector_of(engaged.model_spec)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def selector_of(model_spec: ModelSpec) -> dict[str, str]:
    """Return the labels by which the pods of one of the operator's Deployments are found."""
    return {"app.kubernetes.io/name": object_name(model_spec), "app.kubernetes.io/instance": "operator"}


def _meta(
    model_spec: ModelSpec, engine: str, namespace: str, notes: dict[str, str] | None = None
) -> Document:
    return {
        "name": object_name(model_spec),
        "namespace": namespace,
        "labels": {
            **selector_of(model_spec),
            "app.kubernetes.io/part-of": "aiplat",
            "app.kubernetes.io/managed-by": "aiplat-operator",
            "aiplat.dev/component": "operator",
            LABEL_MODEL: model_spec.slug,
            LABEL_ENGINE: engine,
            MANAGED_BY: "operator",
            MODEL_UID: model_spec.uid,
        },
        "annotations": {
            MODEL_TITLE: model_spec.title,
            "aiplat.dev/model-name": model_spec.name,
            **(notes or {}),
        },
    }


def _service(engaged: Engaged, namespace: str) -> Document:
    model_spec, run = engaged.model_spec, engaged.engine.run
    # A label cannot hold a colon: the true names are here.
    notes = {
        "aiplat.dev/model-aliases": ",".join(engaged.aliases),
        "aiplat.dev/served-as": engaged.served_as,
        "aiplat.dev/adapters": ",".join(adapter.name for adapter in model_spec.adapters),
        "aiplat.dev/features": ",".join(engaged.features),
        "aiplat.dev/paths": ",".join(run.api.paths),
        "aiplat.dev/output-limit": run.api.output_limit,
        "aiplat.dev/roles": ",".join(run.api.roles),
        "aiplat.dev/options": ",".join(run.api.options),
        "aiplat.dev/hold-seconds": str(run.hold_seconds if model_spec.hold is None else model_spec.hold),
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(model_spec, engaged.engine_name, namespace, {k: v for k, v in notes.items() if v}),
        "spec": {
            "selector": selector_of(model_spec),
            "ports": [{"name": "http", "port": run.port, "targetPort": "http", "protocol": "TCP"}],
        },
    }


# As `lib.leaveLostNode` of the charts says, and why.
LEAVE_LOST_NODE = tuple(
    {
        "key": f"node.kubernetes.io/{state}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 30,
    }
    for state in ("not-ready", "unreachable")
)


def _deployment(engaged: Engaged, namespace: str, replicas: int) -> Document:
    model_spec, run = engaged.model_spec, engaged.engine.run
    labels = {**selector_of(model_spec), LABEL_MODEL: model_spec.slug, LABEL_ENGINE: engaged.engine_name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _meta(model_spec, engaged.engine_name, namespace),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": run.start_seconds,
            "selector": {"matchLabels": selector_of(model_spec)},
            # A replica goes only when another one is ready in its place.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels}, "spec": _pod(engaged)},
        },
    }


def _pod(engaged: Engaged) -> Document:
    model_spec = engaged.model_spec
    pod: Document = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "containers": [_container(engaged)],
        "volumes": _volumes(engaged),
    }
    if model_spec.node_selector:
        pod["nodeSelector"] = dict(model_spec.node_selector)
    pod["tolerations"] = [*LEAVE_LOST_NODE, *(dict(t) for t in model_spec.tolerations)]
    return pod


def _container(engaged: Engaged) -> Document:
    run = engaged.engine.run
    mounts = [
        {"name": "model", "mountPath": run.weights.mount, "readOnly": True},
        {"name": "home", "mountPath": HOME},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
    ]
    for number, _ in enumerate(engaged.model_spec.adapters):
        mounts.append({"name": f"adapter-{number}", "mountPath": adapter_mount(number), "readOnly": True})
    if engaged.gpus and run.compile_cache:
        mounts.append({"name": "compiled", "mountPath": run.compile_cache.mount})
    if run.shared_memory:
        mounts.append({"name": "shared", "mountPath": "/dev/shm"})  # noqa: S108 - as above
    return {
        "name": "engine",
        "image": engaged.image,
        "imagePullPolicy": "IfNotPresent",
        "command": command_of(engaged),
        "env": [{"name": name, "value": value} for name, value in environment_of(engaged).items()],
        "ports": [{"name": "http", "containerPort": run.port, "protocol": "TCP"}],
        "lifecycle": drain(run.port),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": engaged.resources.model_dump(),
        **_probes(engaged),
        "volumeMounts": mounts,
    }


def _probes(engaged: Engaged) -> Document:
    run = engaged.engine.run
    return {
        "startupProbe": {
            **probe_of(run.health.started, engaged),
            "periodSeconds": 1,
            "failureThreshold": run.start_seconds,
        },
        "readinessProbe": {
            **probe_of(run.health.ready, engaged),
            "periodSeconds": 5,
            "failureThreshold": 3,
        },
        # An engine that hangs has nothing to finish.
        "livenessProbe": {
            **probe_of(run.health.live, engaged),
            "periodSeconds": 20,
            "failureThreshold": 6,
            "terminationGracePeriodSeconds": 30,
        },
    }


def _volumes(engaged: Engaged) -> list[Document]:
    volumes: list[Document] = [{"name": "model", "image": _image(engaged.weights)}]
    volumes += [
        {"name": f"adapter-{number}", "image": _image(adapter.image)}
        for number, adapter in enumerate(engaged.model_spec.adapters)
    ]
    run = engaged.engine.run
    if engaged.gpus and run.compile_cache:
        kept = {"persistentVolumeClaim": {"claimName": engaged.cache}}
        lost = {"emptyDir": {"sizeLimit": run.compile_cache.size}}
        volumes.append({"name": "compiled", **(kept if engaged.cache else lost)})
    if run.shared_memory:
        shared = {"medium": "Memory", "sizeLimit": run.shared_memory}
        volumes.append({"name": "shared", "emptyDir": shared})
    volumes += [{"name": "home", "emptyDir": {"sizeLimit": run.home_size}}]
    return [*volumes, {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]


def _image(reference: str) -> Document:
    return {"reference": reference, "pullPolicy": "IfNotPresent"}
