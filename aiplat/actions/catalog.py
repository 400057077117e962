"""`aiplat catalog`: planes, components and models as documents; showing them is aiplat.cli's."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from aiplat.catalog.catalog import Catalog
from aiplat.catalog.components import CatalogModel, Component, Licence, Plane
from aiplat.catalog.inputs import source_digest


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


class ModelEntry(Base):
    """A model of the catalogue; `source` is the digest of where its weights come from.

    `context_length` is in tokens.
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
    engine: str
    source: str


class ModelCatalog(Base):
    """Every model that a site can serve."""

    kind: Literal["ModelCatalog"] = "ModelCatalog"
    models: tuple[ModelEntry, ...]


def model_catalog(known: Catalog) -> ModelCatalog:
    """Return the models with their real conditions of use."""
    return ModelCatalog(models=tuple(_model(c, m) for c, m in known.models))


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
    document = model.model_dump(mode="json", exclude={"artifact", "shape"})
    return ModelEntry(**document, engine=component.name, source=source_digest(model.artifact))
