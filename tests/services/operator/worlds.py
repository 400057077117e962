"""Made-up Models, bundles and nodes, and a cluster that keeps objects in memory and can fail at any write."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import Any

from aiplat.catalog.catalog import load_catalog
from aiplat.cluster.raw import NoAnswer, Refused, kind_of
from aiplat.errors import Finding
from aiplat.services.operator.bundle import SiteBundle

Document = dict[str, Any]
ENGINE = "docker.io/ollama/ollama:1.2.3@sha256:" + "a" * 64
WEIGHTS = "registry.ollama.ai/library/small:1b@sha256:" + "b" * 64
SITE_WEIGHTS = "registry.ollama.ai/library/phi3:mini@sha256:" + "c" * 64
OTHER = "registry.example/weights/other:1@sha256:" + "d" * 64


def run_of(engine: str) -> Document:
    """Return how an engine of the catalogue is run."""
    component = load_catalog().component(engine)
    assert component
    assert component.engine
    return component.engine.run.model_dump(mode="json", by_alias=True)


def bundle(**changes: Any) -> SiteBundle:
    """Return a bundle with Ollama, weights that the site serves and weights for Models alone."""
    document: Document = {
        "engines": {
            "ollama": {
                "image": ENGINE,
                "run": run_of("ollama"),
                "parallel": 2,
                "contextLength": 4096,
                "resources": {"requests": {"cpu": "100m", "memory": "768Mi"}, "limits": {"memory": "2Gi"}},
            }
        },
        "models": [
            {
                "name": "small:1b",
                "aliases": ["small"],
                "slug": "small-1b",
                "engine": "ollama",
                "ref": WEIGHTS,
                "features": ["completion"],
                "contextLength": 32768,
                "fit": {"cpu": "200m", "memoryMiB": 700, "tokens": 8192, "bytesPerToken": 10240},
            },
            {
                "name": "phi3:mini",
                "aliases": ["phi3"],
                "slug": "phi3-mini",
                "engine": "ollama",
                "ref": SITE_WEIGHTS,
                "serve": False,
                "fit": {"cpu": "200m", "memoryMiB": 700, "tokens": 8192, "bytesPerToken": 10240},
            },
        ],
        "digests": [r.rpartition("@")[2] for r in (ENGINE, WEIGHTS, SITE_WEIGHTS, OTHER)],
        "known": ["small:1b", "small", "phi3:mini", "phi3", "large:70b"],
        "profiles": {"half": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}}},
    }
    return SiteBundle.model_validate({**document, **changes})


def model(name: str, spec: Document, namespace: str = "aiplat-model", **meta: Any) -> Document:
    """Return a Model of aiplat's own kind."""
    return {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "generation": 1, **meta},
        "spec": spec,
    }


def ollama_model(name: str, **resources: str | int) -> Document:
    """Return a Model as the Ollama operator has them, as people write them down."""
    asked: dict[str, str | int] = {"cpu": 4, "memory": "8Gi", "nvidia.com/gpu": 1}
    amounts = {"limits": {**asked, **resources}, "requests": {**asked, **resources}}
    spec = {
        "replicas": 1,
        "image": name,
        "imagePullPolicy": "IfNotPresent",
        "resources": amounts,
        "persistentVolume": {"accessMode": "ReadWriteOnce"},
    }
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}", "generation": 1}
    return {"apiVersion": "ollama.ayaka.io/v1", "kind": "Model", "metadata": meta, "spec": spec}


def team(name: str, **spec: Any) -> Document:
    """Return a Team with the quota that the API gives it by itself."""
    quota = {"cpu": "4", "memory": "8Gi", "storage": "20Gi", "pods": 20, "gpu": 0} | spec.pop("quota", {})
    return {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Team",
        "metadata": {"name": name, "uid": f"uid-{name}", "generation": 1},
        "spec": {"deletionPolicy": "Keep", **spec, "quota": quota},
    }


def node(name: str = "n1", **more: Any) -> Document:
    """Return a node of two cores and eight gibibytes."""
    allocatable = {"cpu": "2", "memory": "8Gi", "pods": "110", **more.pop("allocatable", {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": more.pop("labels", {})},
        "spec": more,
        "status": {"allocatable": allocatable},
    }


class MemoryCluster:
    """Keeps objects by kind, namespace and name; `writes_left` writes succeed, the next one finds no API."""

    def __init__(self, *documents: Document) -> None:
        self.kept: dict[str, dict[tuple[str, str], Document]] = defaultdict(dict)
        self.writes_left: int | None = None
        self.written: list[str] = []
        for document in documents:
            self.keep(document)

    def keep(self, document: Document) -> Document:
        """Put an object there as it is."""
        meta = document["metadata"]
        meta.setdefault("uid", f"uid-{kind_of(document)}-{meta['name']}")
        self.kept[kind_of(document)][meta.get("namespace", ""), meta["name"]] = document
        return document

    def one(self, kind: str, name: str, namespace: str = "aiplat-model") -> Document:
        """Return an object that has to be there."""
        return self.kept[kind][namespace, name]

    def names(self, kind: str) -> set[str]:
        """Return the names of all objects of a kind."""
        return {name for _, name in self.kept[kind]}

    def listed(
        self, kind: str, namespace: str = "", selector: str = "", *, fields: str = ""
    ) -> list[Document]:
        """Return copies, as an API does; of fields it knows those at the top."""
        name, _, value = fields.partition("=")
        found = [d for (space, _), d in self.kept[kind].items() if namespace in {"", space}]
        found = [d for d in found if not fields or d.get(name) == value]
        return [copy.deepcopy(d) for d in found if not selector or _matches(d, selector)]

    def read(self, kind: str, namespace: str, name: str) -> Document | None:
        """Return a copy of one object, if it is there."""
        return copy.deepcopy(self.kept[kind].get((namespace, name)))

    def apply(self, document: Document, subresource: str = "") -> Document:
        """Lay a document over what is there; numbers of a Deployment are then as wanted at once."""
        self._write(f"apply {document['kind']} {document['metadata']['name']}{subresource and '/status'}")
        meta = document["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        there = self.kept[kind_of(document)].get(key)
        merged = _merged(there, document) if there else copy.deepcopy(document)
        if there and not subresource and there.get("spec") != merged.get("spec"):
            merged["metadata"]["generation"] = there["metadata"].get("generation", 1) + 1
        return copy.deepcopy(self.keep(merged))

    def delete(self, kind: str, namespace: str, name: str, uid: str = "") -> bool:
        """Take an object away, if it is the one that is meant."""
        there = self.kept[kind].get((namespace, name))
        if there and uid not in {"", there["metadata"]["uid"]}:
            raise Refused(Finding(name, "is another one by now"), 409)
        self._write(f"delete {kind} {name}")
        return self.kept[kind].pop((namespace, name), None) is not None

    def serve(self) -> None:
        """Let every Deployment have the replicas it wants."""
        for deployment in self.kept["Deployment"].values():
            wanted = deployment["spec"].get("replicas", 1)
            counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), wanted)
            generation = deployment["metadata"].get("generation", 0)
            deployment["status"] = {**counts, "observedGeneration": generation}

    def _write(self, what: str) -> None:
        if self.writes_left is not None:
            self.writes_left -= 1
            if self.writes_left < 0:
                raise NoAnswer(Finding("Kubernetes API", "cannot be asked: gone"))
        self.written.append(what)


def _matches(document: Document, selector: str) -> bool:
    labels = document["metadata"].get("labels", {})
    wanted = [part.partition("=") for part in selector.split(",")]
    return all(key in labels and (not equal or labels[key] == value) for key, equal, value in wanted)


def _merged(below: Any, over: Any) -> Any:
    if isinstance(below, dict) and isinstance(over, dict):
        return {**below, **{k: _merged(below.get(k), v) for k, v in over.items()}}
    return copy.deepcopy(over)
