"""Models of Ollama's registry: its own protocol in, an image with Ollama's store out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiplat.catalog.artifacts import Blob, Digest
from aiplat.catalog.upstream_recipes import UpstreamKind
from aiplat.content import parsed_json, sha256_bytes
from aiplat.errors import AiplatError, Finding
from aiplat.supply.contract import Made
from aiplat.supply.oci import VERSION
from aiplat.supply.upstream.downloads import Downloads, Part, exchanged
from aiplat.supply.upstream.fetcher import FetchOrder, Pin
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.references import ModelName, model_name
from aiplat.supply.upstream.registry import blob_of
from aiplat.supply.upstream.sentences import HttpFailed
from aiplat.supply.upstream.shapes import see_manifest
from aiplat.supply.upstream.weights import ModelImage

_ACCEPT = "application/vnd.docker.distribution.manifest.v2+json"
_LAYER = "application/vnd.ollama.image."
# What an engine finds in its store by itself; of anything else nobody knows what it would do with it.
KINDS = frozenset(
    (
        "model",
        "adapter",
        "projector",
        "template",
        "prompt",
        "system",
        "params",
        "messages",
        "license",
        "embed",
    )
)


@dataclass(frozen=True)
class _Model:
    """A model's manifest as it was served, and the blobs it names."""

    name: ModelName
    body: bytes
    blobs: tuple[Blob, ...]

    @property
    def digest(self) -> Digest:
        return sha256_bytes(self.body)


class OllamaModels:
    """Models as `ollama pull` gets them."""

    def pin(self, order: FetchOrder) -> Pin:
        """Ask what a model's tag stands for now; only its manifest is fetched.

        Raises:
            AiplatError: it is not there, or has parts that are not known.
        """
        order.phase("ask for the model", 0, 0)
        model = _ask(order.http, _name(order))
        return Pin(digest=model.digest, source=str(model.name), size=sum(blob.size for blob in model.blobs))

    def fetch(self, order: FetchOrder, pin: Pin, folder: Path) -> Made:
        """Fetch the model that was pinned and lay it out as Ollama's store has it, under all its names.

        Raises:
            AiplatError: it cannot be had, or is another by now.
        """
        model = _ask(order.http, model_name(pin.source))
        if model.digest != pin.digest:
            raise exchanged(pin.source, pin.digest, model.digest)
        parts = [_part(order.http, model.name, blob) for blob in model.blobs]
        downloads = Downloads(order)
        downloads.bring(parts)
        order.phase("make the image", 0, 0)
        image = ModelImage(folder, order.work)
        for name in _names(order, model.name):
            image.add(name.path, model.body)
        for blob in model.blobs:
            image.add(f"blobs/{blob.digest.replace(':', '-')}", downloads.path(blob.digest))
        labels = {
            "dev.aiplat.supply": "upstream",
            VERSION: order.artifact.version,
            "dev.aiplat.model": UpstreamKind.OLLAMA.value,
        }
        made = image.finish(labels, pin.platforms or order.platforms)
        downloads.forget(model.blobs)
        return made


def _name(order: FetchOrder) -> ModelName:
    recipe = order.recipe.ollama
    assert recipe is not None  # noqa: S101 - the supply asks by the recipe's kind
    return model_name(f"{recipe.name or order.artifact.name}:{order.filled(recipe.tag)}")


def _names(order: FetchOrder, served: ModelName) -> list[ModelName]:
    """Return all names that the engine must find the model under: the catalogue's, and its own."""
    catalogued = order.model
    said = [catalogued.name, *catalogued.aliases] if catalogued else []
    return sorted({served, *map(model_name, said)}, key=str)


def _part(http: HttpClient, name: ModelName, blob: Blob) -> Part:
    url = f"https://{name.host}/v2/{name.repository}/blobs/{blob.digest}"
    return Part(
        blob,
        lambda path, told: http.download(url, path, digest=blob.digest, size=blob.size, on_bytes=told),
    )


def _ask(http: HttpClient, name: ModelName) -> _Model:
    url = f"https://{name.host}/v2/{name.repository}/manifests/{name.tag}"
    try:
        body = http.get(url, headers={"Accept": _ACCEPT}, limit=4 << 20).body
    except HttpFailed as error:
        if error.status != 404 or http.reach.mirrored(url):
            raise
        fix = "see the spelling, and which tags there are on its page"
        raise AiplatError(Finding(str(name), "is not a model that the registry has (404)", fix)) from None
    return _Model(name, body, tuple(_blobs(name, _document(name, body))))


def _document(name: ModelName, body: bytes) -> dict[str, Any]:
    try:
        document = parsed_json(body)
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("layers"), list):
        problem = "the registry answers with something that is not a manifest of a model"
        fix = "see the name, and whether a proxy or log-in page answers instead"
        raise AiplatError(Finding(str(name), problem, fix))
    see_manifest(str(name), document)
    return document


def _blobs(name: ModelName, document: dict[str, Any]) -> Iterator[Blob]:
    """Yield what a manifest names, each once."""
    layers = document["layers"]
    unknown = sorted({str(layer.get("mediaType")) for layer in layers if _kind(layer) not in KINDS})
    if unknown:
        problem = f"has parts of a kind that is not known: {', '.join(unknown)}"
        raise AiplatError(Finding(str(name), problem, "use another tag, or a newer aiplat"))
    if not any(_kind(layer) == "model" for layer in layers):
        raise AiplatError(
            Finding(str(name), "has no weights of its own", "such models run elsewhere: use another")
        )
    blobs = [blob_of(str(name), described) for described in (document.get("config") or {}, *layers)]
    yield from {blob.digest: blob for blob in blobs}.values()


def _kind(layer: dict[str, Any]) -> str:
    return str(layer.get("mediaType")).removeprefix(_LAYER)
