"""What a Model object asks for, in one form for both kinds; whether it can be had is not asked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]

OWN_GROUP = "aiplat.dev"
MANAGED_BY = "aiplat.dev/managed-by"
_DELAY_SECONDS = 60
_LONGEST_SLUG = 50


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: the name clients ask for, and its image by digest."""

    name: str
    image: str


@dataclass(frozen=True)
class ModelSpec:
    """A Model as wanted.

    `name` is what clients call it. Exactly one of `catalogue` (a name in aiplat's catalogue) and `image` (by
    digest) says which weights; `served_as` is their name inside the engine's store. None and empty mean: what
    the engine or the catalogue says. `replicas` fixes the number; without it it moves between `minimum` and
    `maximum`. `delay` in seconds.
    """

    group: str
    namespace: str
    object_name: str
    uid: str
    generation: int
    created: str
    slug: str
    name: str
    by_site: bool = False
    aliases: tuple[str, ...] = ()
    engine: str = ""
    catalogue: str = ""
    image: str = ""
    served_as: str = ""
    requests: Mapping[str, str | int] = field(default_factory=dict)
    limits: Mapping[str, str | int] = field(default_factory=dict)
    profile: str = ""
    replicas: int | None = None
    minimum: int = 1
    maximum: int = 1
    target: int | None = None
    delay: int = _DELAY_SECONDS
    hold: int | None = None
    context_length: int | None = None
    parallel: int | None = None
    adapters: tuple[Adapter, ...] = ()
    features: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()

    @property
    def title(self) -> str:
        """The object as people write it."""
        return f"Model {self.namespace}/{self.object_name} ({self.group})"

    @property
    def scales(self) -> bool:
        """Whether its number of replicas follows the load."""
        return self.replicas is None and self.minimum < self.maximum


def slug_of(name: str) -> str:
    """Return a Model's name as a part of Kubernetes names: `llama3.1` is `llama3-1`."""
    slug = "".join(c if c.isalnum() and c.isascii() else "-" for c in name.lower())
    return slug[:_LONGEST_SLUG].strip("-")


def model_spec_of(document: Document) -> ModelSpec:
    """Return what a Model object of either kind asks for."""
    group = str(document["apiVersion"]).partition("/")[0]
    return _own(document) if group == OWN_GROUP else _of_ollama_operator(document)


def _identity(document: Document) -> dict[str, Any]:
    meta = document["metadata"]
    return {
        "group": str(document["apiVersion"]).partition("/")[0],
        "namespace": meta["namespace"],
        "object_name": meta["name"],
        "uid": meta.get("uid", ""),
        "generation": meta.get("generation", 0),
        "created": meta.get("creationTimestamp", ""),
        "slug": slug_of(meta["name"]),
    }


def _own(document: Document) -> ModelSpec:
    spec, meta = document["spec"], document["metadata"]
    source, resources, placement = spec["source"], spec.get("resources", {}), spec.get("placement", {})
    minimum = spec.get("minReplicas", 1)
    return ModelSpec(
        **_identity(document),
        name=spec.get("name") or source.get("catalogue") or meta["name"],
        by_site=meta.get("labels", {}).get(MANAGED_BY) == "site",
        aliases=tuple(spec.get("aliases", ())),
        engine=spec.get("engine", ""),
        catalogue=source.get("catalogue", ""),
        image=source.get("image", ""),
        served_as=source.get("servedAs", ""),
        requests=resources.get("requests", {}),
        limits=resources.get("limits", {}),
        profile=spec.get("resourceProfile", ""),
        replicas=spec.get("replicas"),
        minimum=minimum,
        maximum=max(spec.get("maxReplicas", minimum), minimum, 1),
        target=spec.get("targetRequests"),
        delay=spec.get("scaleDownDelaySeconds", _DELAY_SECONDS),
        hold=spec.get("holdSeconds"),
        context_length=spec.get("contextLength"),
        parallel=spec.get("parallel"),
        adapters=tuple(Adapter(a["name"], a["image"]) for a in spec.get("adapters", ())),
        features=tuple(spec.get("features", ())),
        settings=spec.get("settings", {}),
        node_selector=placement.get("nodeSelector", {}),
        tolerations=tuple(placement.get("tolerations", ())),
    )


def _of_ollama_operator(document: Document) -> ModelSpec:
    """Return what a Model of the Ollama operator asks for.

    Of its environment two variables of Ollama are settings here as well; volumes, pull policy, runtime class
    and pod template mean nothing.
    """
    spec, meta = document["spec"], document["metadata"]
    resources = spec.get("resources", {})
    name = spec["image"]
    return ModelSpec(
        **_identity(document),
        name=name,
        aliases=() if meta["name"] == name else (meta["name"],),
        catalogue=name,
        requests=resources.get("requests", {}),
        limits=resources.get("limits", {}),
        replicas=spec.get("replicas", 1),
        context_length=_number_in(spec, "OLLAMA_CONTEXT_LENGTH"),
        parallel=_number_in(spec, "OLLAMA_NUM_PARALLEL"),
    )


def _number_in(spec: Document, name: str) -> int | None:
    """Return the positive whole number that the pod's environment gives to a variable, None without one."""
    given = [str(e.get("value", "")) for e in spec.get("extraEnv") or () if e.get("name") == name]
    return int(given[-1]) if given and given[-1].isdecimal() and int(given[-1]) > 0 else None
