"""Cards of the models in a bundle: where each is from, under which terms, what it is, what a scan found."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter

from aiplat import API_VERSION
from aiplat.bundle.document import BundledFile
from aiplat.catalog.artifacts import Artifact, Digest
from aiplat.catalog.catalog import Catalog
from aiplat.catalog.components import CatalogModel, Component, Licence
from aiplat.catalog.versions import SOURCES_LOCK, lock_entry
from aiplat.content import canonical_json, parsed_json, sha256_bytes
from aiplat.errors import BadInput, Finding
from aiplat.fit.gguf import read_header, shape_of, weights_of
from aiplat.frozen import Frozen
from aiplat.supply.contract import Supplied
from aiplat.supply.oci import EMPTY, MANIFEST, Descriptor, add_bytes, add_manifest, blob_path, read_json
from aiplat.supply.scan import ModelScan, members, scanned

CARD = "application/vnd.aiplat.model.card.v1+json"
README = "text/markdown"
_MOST_BYTES = 4 << 20
_READMES = ("readme.md", "model_card.md", "modelcard.md")


class ModelCard(Frozen):
    """What is known of one model of a bundle; `content` stands for its files where they are a site's own."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["ModelCard"] = "ModelCard"
    name: str
    engine: str
    source: str
    revision: str
    reference: str
    digest: Digest
    content: Digest | None = None
    size: int
    licence: Licence
    architecture: str
    parameters: str = ""
    quantisation: str
    context_length: int | None = Field(default=None, alias="contextLength")
    features: tuple[str, ...]
    scan: ModelScan
    readme: str = Field(default="", exclude=True)
    """The README.md beside the weights, which the bundle holds as it is."""


def add_card(path: Path, supplied: Supplied, catalog: Catalog, formats: tuple[str, ...]) -> list[Descriptor]:
    """Scan a model and put its card into a bundle, as a referrer of its image; return what the index names.

    Raises:
        AiplatError: the scan found something.
    """
    artifact = supplied.artifact
    scan = scanned(supplied, formats)
    engine, model = _catalogued(artifact, catalog)
    if engine is None or model is None:
        return []
    card = _card(supplied, engine, model, scan)
    layers = [add_bytes(path, canonical_json(card.model_dump(mode="json", by_alias=True)), CARD)]
    if text := _readme(model):
        layers.append(add_bytes(path, text, README))
    subject = {
        "mediaType": MANIFEST,
        "digest": artifact.digest,
        "size": next(blob.size for blob in artifact.blobs if blob.digest == artifact.digest),
    }
    named = {"dev.aiplat.model": card.name, "dev.aiplat.component": card.engine}
    return [_referrer(path, layers, subject, named)]


def card_files(path: Path, referrers: list[Descriptor]) -> dict[str, BundledFile]:
    """Return the blobs of cards by their names in a bundle."""
    found: dict[str, int] = {}
    for referrer in referrers:
        document = read_json(path, referrer["digest"])
        for one in (referrer, document["config"], *document["layers"]):
            found[one["digest"]] = one["size"]
    return {
        f"blobs/sha256/{d.removeprefix('sha256:')}": BundledFile(sha256=d, size=s) for d, s in found.items()
    }


def read_cards(path: Path) -> list[ModelCard]:
    """Return the cards of a bundle by name; a bundle from before there were cards has none.

    Raises:
        BadInput: one is damaged.
    """
    try:
        listed = parsed_json((path / "index.json").read_bytes())["manifests"]
        cards = [_read(path, one["digest"]) for one in listed if one.get("artifactType") == CARD]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        problem = "its cards cannot be read"
        raise BadInput(Finding(str(path), problem, "make the bundle again: aiplat bundle build")) from None
    return sorted(cards, key=lambda card: (card.name, card.engine))


def _read(path: Path, digest: Digest) -> ModelCard:
    layers = parsed_json(_blob(path, digest))["layers"]
    document = parsed_json(_blob(path, layers[0]["digest"]))
    readme = _blob(path, layers[1]["digest"]).decode() if len(layers) > 1 else ""
    return ModelCard.model_validate({**document, "readme": readme})


def _blob(path: Path, digest: Digest) -> bytes:
    """Return a blob that is what it is called: a bundle may come from anywhere.

    Raises:
        ValueError: it is not, or is too large for a card.
    """
    named = TypeAdapter(Digest).validate_python(digest)
    with blob_path(path, named).open("rb") as stream:
        body = stream.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES or sha256_bytes(body) != named:
        raise ValueError(f"{named} is not what it is called")
    return body


def _referrer(
    path: Path, layers: list[Descriptor], subject: Descriptor, named: Mapping[str, str]
) -> Descriptor:
    empty = add_bytes(path, b"{}", EMPTY)
    described = add_manifest(path, empty, layers, named, artifactType=CARD, subject=subject)
    return {**described, "artifactType": CARD, "annotations": dict(named)}


def _catalogued(artifact: Artifact, catalog: Catalog) -> tuple[Component | None, CatalogModel | None]:
    engine = catalog.component(artifact.component)
    models = engine.models if engine else ()
    same = (m for m in models if (m.artifact.name, m.tag) == (artifact.name, artifact.version))
    return engine, next(same, None)


def _card(supplied: Supplied, engine: Component, model: CatalogModel, scan: ModelScan) -> ModelCard:
    artifact = supplied.artifact
    source, revision = _source(artifact, model)
    return ModelCard(
        name=model.name,
        engine=engine.name,
        source=source,
        revision=revision,
        reference=f"{artifact.name}:{artifact.version}",
        digest=str(artifact.digest),
        content=artifact.own.digest if artifact.own else artifact.pinned,
        size=artifact.size,
        licence=model.licence,
        features=model.features,
        scan=scan,
        **_described(supplied, model),
    )


def _source(artifact: Artifact, model: CatalogModel) -> tuple[str, str]:
    """Return where a model is from, and which revision of that it is."""
    recipe = model.artifact.packages
    if recipe and recipe.own:
        return str(recipe.own.source), ""
    if artifact.source:
        source, _, revision = artifact.source.partition("@")
        return source, revision or str(artifact.pinned)
    if recipe and recipe.gguf_file:
        wheel = recipe.gguf_file.wheel
        return f"PyPI package {wheel}", lock_entry(wheel, SOURCES_LOCK)[0]
    if recipe and recipe.gguf:
        return f"PyPI package {recipe.gguf}", lock_entry(recipe.gguf)[0]
    return (f"written by {recipe.snapshot.script}" if recipe and recipe.snapshot else ""), ""


def _described(supplied: Supplied, model: CatalogModel) -> dict[str, Any]:
    """Return what the catalogue says of a model, and where its GGUF says more, that."""
    said: dict[str, Any] = {
        "architecture": model.family,
        "parameters": model.parameters,
        "quantisation": model.quantisation,
        "contextLength": model.context_length,
    }
    for seen in members(supplied.folder, str(supplied.artifact.digest)):
        if seen.format == "gguf" and not model.own:
            with contextlib.suppress(ValueError, TypeError, OverflowError, EOFError, struct.error):
                header = read_header(seen.stream)
                shape = shape_of(header, model.name)
                kind = weights_of(header).quantisation
                found = {"architecture": shape.family, "contextLength": shape.max_ctx}
                return {**said, "quantisation": said["quantisation"] or kind} | {
                    k: v for k, v in found.items() if v
                }
    return said


def _readme(model: CatalogModel) -> bytes:
    """Return the model card that lies beside the weights of a site's own, if one does."""
    own = model.artifact.packages.own if model.artifact.packages else None
    if own is None or not own.source.is_dir():
        return b""
    for path in sorted(own.source.iterdir()):
        if path.name.lower() in _READMES and path.is_file() and path.stat().st_size <= _MOST_BYTES:
            with contextlib.suppress(OSError, UnicodeDecodeError):
                return path.read_text(encoding="utf-8").encode()
    return b""


def cards_document(path: Path, cards: list[ModelCard]) -> dict[str, Any]:
    """Return the cards of a bundle for programs."""
    models = [{**card.model_dump(mode="json", by_alias=True), "readme": card.readme} for card in cards]
    return {"apiVersion": API_VERSION, "kind": "ModelCards", "path": str(path), "models": models}
