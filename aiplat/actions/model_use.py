"""What is done with one model: its weights on every node, how clients reach it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any, Literal

import httpx
from pydantic import Field

from aiplat.actions.access import access_to
from aiplat.actions.model import NAMESPACE, find_model, object_name, objects_of
from aiplat.catalog.artifacts import Lock
from aiplat.catalog.lockfile import read_lock
from aiplat.catalog.own_models import catalog_of
from aiplat.cluster.raw import RawObjects
from aiplat.cluster.way import request_hooks
from aiplat.errors import AiplatError, BadInput, CheckFailed, Finding
from aiplat.fleet.tunnel import way_to
from aiplat.frozen import Frozen
from aiplat.site.findings import did_you_mean
from aiplat.site.models import Site
from aiplat.state import site_dir

OnNodes = Callable[[int, int], None]
_LOOK_SECONDS = 0.5
_UID = 10001


class Exposed(Frozen):
    """How clients reach a model."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Exposed"] = "Exposed"
    model: str
    url: str
    state: str
    message: str


def expose(site: Site, name: str) -> Exposed:
    """Return where a model is reached, after seeing that the gateway offers it there.

    Raises:
        BadInput: there is no such Model.
        CheckFailed: the gateway does not offer it.
    """
    model, access = find_model(site, name), access_to(site)
    url = f"{access.url}/v1"
    headers = {"Authorization": f"Bearer {access.key}"}
    try:
        trusted = ssl.create_default_context(cafile=str(access.authorities))
        hooks = request_hooks(url, way_to(site))
        with httpx.Client(verify=trusted, trust_env=False, timeout=20, event_hooks=hooks) as client:
            answer = client.get(f"{url}/models", headers=headers).raise_for_status().json()
        offered = {entry["id"] for entry in answer["data"]}
    except (httpx.HTTPError, OSError, ValueError, KeyError) as error:
        raise AiplatError(Finding(url, f"cannot be asked: {error}", "look with `aiplat status`")) from error
    if model.served_as not in offered:
        fix = "look with `aiplat model list`"
        raise CheckFailed(Finding(f"Model {model.title}", f"is not offered: {model.message}", fix))
    return Exposed(model=model.served_as, url=url, state=model.state, message=model.message)


def pull(site: Site, name: str, on_nodes: OnNodes, seconds: float) -> int:
    """Bring a model's engine and weights onto every node, so that it starts there at once; return how many.

    A pod on each node mounts the weights and is gone again when all have.

    Raises:
        BadInput: the site's bundle does not hold the model.
        AiplatError: some node did not get it in so many seconds.
    """
    engine, weights = _images(site, name)
    objects, manifest = objects_of(site), _everywhere(name, engine, weights)
    objects.apply(manifest)
    title = manifest["metadata"]["name"]
    try:
        return _until_everywhere(objects, title, on_nodes, seconds)
    finally:
        objects.delete("DaemonSet", NAMESPACE, title)


def _until_everywhere(objects: RawObjects, title: str, on_nodes: OnNodes, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while True:
        there = objects.read("DaemonSet", NAMESPACE, title) or {}
        status = there.get("status", {})
        wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
        on_nodes(ready, wanted)
        if ready >= wanted > 0:
            return int(ready)
        if time.monotonic() > deadline:
            problem = f"{ready} of {wanted} nodes have it after {seconds:.0f} s"
            raise AiplatError(Finding(title, problem, "look with `aiplat verify`"))
        time.sleep(_LOOK_SECONDS)


def _images(site: Site, name: str) -> tuple[str, str]:
    """Return the references of engine and weights by digest."""
    path = site_dir(site.name) / "lock.yaml"
    lock = read_lock(path)
    models = catalog_of(site, lock).models
    for engine, model in models:
        if name in {model.name, *model.aliases}:
            weights = next(
                (a for a in lock.of("model") if (a.name, a.version) == (model.artifact.name, model.tag)), None
            )
            if weights is not None:
                return _engine_image(lock, engine.name), weights.ref
    names = [m.name for _, m in models]
    hint = did_you_mean(name, names, "add it under `models` in the site file; the catalogue has")
    raise BadInput(Finding(f"model {name}", "is not in the site's bundle", hint))


def _engine_image(lock: Lock, engine: str) -> str:
    return next(a.ref for a in lock.of("image") if a.component == engine)


def _everywhere(name: str, engine: str, weights: str) -> dict[str, Any]:
    title = f"pull-{object_name(name).replace('.', '-')}"
    labels = {"app.kubernetes.io/name": title, "app.kubernetes.io/part-of": "aiplat"}
    amounts = {"cpu": "10m", "memory": "32Mi"}
    container = {
        "name": "hold",
        "image": engine,
        "command": ["sleep", "infinity"],
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "model", "mountPath": "/models", "readOnly": True}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "model", "image": {"reference": weights, "pullPolicy": "IfNotPresent"}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": title, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
