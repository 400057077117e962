"""Model objects of a cluster as they stand: which there are, how each is, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from aiplat.cluster.raw import RawObjects
from aiplat.frozen import Frozen

_KINDS = ("Model.aiplat.dev", "Model.ollama.ayaka.io")


class DeclaredModel(Frozen):
    """A Model and how it stands. `state` is empty while no operator has seen it as it is now.

    `fit` is a sentence: what one replica takes, and how many nodes could hold one. `context_length` is in
    tokens of one request, 0 where nobody said.
    """

    kind: str
    namespace: str
    name: str
    served_as: str = Field(alias="servedAs")
    state: str
    ready: str
    message: str
    engine: str = ""
    weights: str = ""
    fit: str = ""
    context_length: int = Field(default=0, alias="contextLength")
    by_site: bool = Field(default=False, alias="bySite")
    selector: str = ""

    @property
    def title(self) -> str:
        """The object as people write it."""
        return f"{self.namespace}/{self.name}"


def declared_models(objects: RawObjects, *, seen_only: bool = False) -> Iterator[DeclaredModel]:
    """Yield every Model of a cluster, in all namespaces; `seen_only`: those an operator has seen as they are.

    Raises:
        Refused: the cluster does not have these kinds, or does not let them be listed.
        NoAnswer: it could not be asked.
    """
    for kind in _KINDS:
        for document in objects.listed(kind):
            if not seen_only or _is_current(document):
                yield _model(kind, document)


def _is_current(document: dict[str, Any]) -> bool:
    seen = document.get("status", {}).get("observedGeneration", -1)
    return bool(seen >= document["metadata"].get("generation", 0))


def _model(kind: str, document: dict[str, Any]) -> DeclaredModel:
    meta, status = document["metadata"], document.get("status", {})
    current = _is_current(document)
    return DeclaredModel(
        kind=kind,
        namespace=meta["namespace"],
        name=meta["name"],
        served_as=status.get("name", ""),
        state=status.get("phase", "") if current else "",
        ready=status.get("ready", ""),
        message=status.get("message", "") if current else "no operator has looked at it yet",
        engine=status.get("engine", ""),
        weights=status.get("image", ""),
        fit=status.get("fit", ""),
        context_length=status.get("contextLength", 0),
        by_site=meta.get("labels", {}).get("aiplat.dev/managed-by") == "site",
        selector=status.get("selector", ""),
    )
