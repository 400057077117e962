"""Models as declared objects of a site: which there are, declaring one, taking one away; shows nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from aiplat.catalog.catalog import load_catalog
from aiplat.cluster.declared import DeclaredModel, declared_models
from aiplat.cluster.raw import RawObjects, Refused
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.fleet.tunnel import way_to
from aiplat.frozen import Frozen
from aiplat.site.findings import did_you_mean
from aiplat.site.models import Site
from aiplat.state import site_dir

NAMESPACE = "aiplat-model"
_MANAGER = "aiplat-cli"
_NOT_FOUND = 404
_LOOK_SECONDS = 0.5
_SETTLED = {"Serving", "Idle", "Refused"}


class ModelList(Frozen):
    """All Models of a site."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["ModelList"] = "ModelList"
    site: str
    models: tuple[DeclaredModel, ...]


class ModelOrder(Frozen):
    """What is to be declared: `catalogue` or `image`, and whatever is not left to the operator."""

    name: str
    catalogue: str = ""
    image: str = ""
    engine: str = ""
    served_name: str = ""
    replicas: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    target: int | None = None
    context_length: int | None = None
    parallel: int | None = None
    profile: str = ""
    requests: dict[str, str] = Field(default_factory=dict)


def objects_of(site: Site) -> RawObjects:
    """Return the objects of a site's cluster.

    Raises:
        BadInput: the site was never bootstrapped from here.
        HostError: there is no way to its server.
    """
    path = site_dir(site.name) / "kubeconfig"
    if not path.exists():
        problem = "has no cluster that is known on this machine"
        raise BadInput(Finding(f"site {site.name}", problem, "run `aiplat bootstrap`"))
    return RawObjects.of_kubeconfig(path, _MANAGER, way_to(site))


def list_models(site: Site) -> ModelList:
    """Return every Model of a site, in all namespaces.

    Raises:
        BadInput: the site has no Model operator.
    """
    return ModelList(site=site.name, models=tuple(_declared(objects_of(site))))


def find_model(site: Site, name: str) -> DeclaredModel:
    """Return a Model by its object's name, with or without namespace, or by the name that clients use.

    Raises:
        BadInput: there is none, or more than one.
    """
    models = list_models(site).models
    found = [m for m in models if name in {m.name, m.title}] or [m for m in models if name == m.served_as]
    if len(found) == 1:
        return found[0]
    if found:
        fix = f"write one of {', '.join(m.title for m in found)}"
        raise BadInput(Finding(f"model {name}", "there are several", fix))
    hint = did_you_mean(name, [m.name for m in models], "there are")
    raise BadInput(Finding(f"model {name}", "there is no such Model", hint))


def manifest_of(order: ModelOrder) -> dict[str, Any]:
    """Return the Model object that an order stands for.

    Raises:
        BadInput: it contradicts itself.
    """
    if order.image and not order.engine:
        fix = f"add --engine {' or --engine '.join(c.name for c in load_catalog().engines)}"
        raise BadInput(Finding("--image", "does not say which engine has this form", fix))
    if order.minimum is not None and order.maximum is not None and order.minimum > order.maximum:
        raise BadInput(Finding("--min", f"{order.minimum} is more than --max {order.maximum}"))
    source = {"image": order.image} if order.image else {"catalogue": order.catalogue or order.name}
    spec: dict[str, Any] = {
        "source": source,
        "name": order.served_name or order.name,
        "engine": order.engine,
        "replicas": order.replicas,
        "minReplicas": order.minimum,
        "maxReplicas": order.maximum,
        "targetRequests": order.target,
        "contextLength": order.context_length,
        "parallel": order.parallel,
        "resourceProfile": order.profile,
        "resources": {"requests": order.requests} if order.requests else None,
    }
    return {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": object_name(order.name), "namespace": NAMESPACE},
        "spec": {key: value for key, value in spec.items() if value not in ("", None)},
    }


def object_name(name: str) -> str:
    """Return a model's name as the name of an object: `gemma3:270m` is `gemma3-270m`."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in ".-") else "-" for c in name.lower())
    return kept.strip("-.")


def declare(site: Site, manifest: dict[str, Any]) -> None:
    """Apply a Model; what it said before and says no more goes.

    Raises:
        BadInput: the cluster does not take it, or the site has no Model operator.
    """
    where = f"Model {manifest['metadata']['name']}"
    try:
        objects_of(site).apply(manifest)
    except Refused as refused:
        if refused.status == _NOT_FOUND:
            raise _no_operator(site.name) from refused
        raise BadInput(Finding(where, refused.findings[0].problem)) from refused


def follow(site: Site, name: str, seconds: float) -> Iterator[DeclaredModel]:
    """Yield how a Model stands, each time it stands otherwise, until it is settled.

    Raises:
        AiplatError: it was not after so many seconds.
    """
    objects, deadline, last = objects_of(site), time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        model = next((m for m in _declared(objects, seen_only=True) if m.name == name), None)
        if model is not None and model != last:
            yield model
            last = model
        if model is not None and model.state in _SETTLED:
            return
        time.sleep(_LOOK_SECONDS)
    state = f"is {last.state} ({last.message})" if last else "was not looked at by an operator"
    fix = "look with `aiplat model list` and `aiplat model logs`"
    raise AiplatError(Finding(f"Model {name}", f"{state} after {seconds:.0f} s", fix))


def take_away(site: Site, name: str) -> DeclaredModel:
    """Delete a Model and wait until nothing runs for it any more.

    Raises:
        BadInput: there is none, or the site file declares it.
    """
    model, objects = find_model(site, name), objects_of(site)
    if model.by_site:
        fix = "take it out of `models` there and run `aiplat bootstrap`"
        raise BadInput(Finding(f"Model {model.title}", "is declared in the site file", fix))
    objects.delete(model.kind, model.namespace, model.name)
    deadline = time.monotonic() + 60
    while objects.listed("Deployment", NAMESPACE, model.selector or "none=none"):
        if time.monotonic() > deadline:
            fix = "see whether the operator works: `aiplat status`"
            raise AiplatError(Finding(f"Model {model.title}", "is deleted, but its engine still runs", fix))
        time.sleep(_LOOK_SECONDS)
    return model


def _declared(objects: RawObjects, *, seen_only: bool = False) -> Iterator[DeclaredModel]:
    try:
        yield from declared_models(objects, seen_only=seen_only)
    except Refused as refused:
        if refused.status == _NOT_FOUND:
            raise _no_operator("") from refused
        raise


def _no_operator(site: str) -> BadInput:
    fix = "run `aiplat bootstrap`, which brings it"
    return BadInput(Finding(f"site {site}".strip(), "has no Model operator", fix))
