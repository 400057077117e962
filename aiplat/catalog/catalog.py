"""Finds and reads planes, components and models under charts/; what a site takes of them is in resolve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from aiplat.catalog.components import ArtifactRecipe, CatalogModel, Component, LaterModel, Plane, Planned
from aiplat.catalog.needs import NeedKind
from aiplat.errors import AiplatError, Finding
from aiplat.frozen import findings_of
from aiplat.shipped import shipped
from aiplat.site.model_files import later_entries, model_entries

Document = TypeVar("Document", bound=BaseModel)


@dataclass(frozen=True)
class Catalog:
    """Everything this version of aiplat can install, in the order of planes and releases."""

    planes: tuple[Plane, ...]
    components: tuple[Component, ...]

    def planned(self, plane: str) -> tuple[Planned, ...]:
        """Return what a plane will have in a later version."""
        there = {c.name for c in self.components}
        every = (p for known in self.planes if known.name == plane for p in known.planned)
        return tuple(p for p in every if p.name not in there)

    def component(self, name: str) -> Component | None:
        """Return a component by name, or None where this version has none."""
        return next((c for c in self.components if c.name == name), None)

    def components_of(self, plane: str) -> tuple[Component, ...]:
        """Return the components of one plane, in release order."""
        return tuple(c for c in self.components if c.plane == plane)

    def providers(self, need: NeedKind) -> tuple[Component, ...]:
        """Return the components that together provide what others need; empty where nobody does."""
        return tuple(c for c in self.components if need in c.provides.needs)

    @property
    def models_later(self) -> tuple[LaterModel, ...]:
        """Return the models that no engine of this version runs."""
        return tuple(model for plane in self.planes for model in plane.models_later)

    @property
    def engines(self) -> tuple[Component, ...]:
        """Return the components that serve models; those that are on by default come first."""
        return tuple(sorted((c for c in self.components if c.engine), key=lambda c: c.default != "on"))

    def engine_of(self, model: str, named: str = "") -> Component | None:
        """Return the engine that is named, else the first one that serves the model; None where none is."""
        if named:
            return next((c for c in self.engines if c.name == named), None)
        return next((c for c in self.engines if self.model(model, c.name)), None)

    @property
    def models(self) -> tuple[tuple[Component, CatalogModel], ...]:
        """Every model with the component (engine) that serves it."""
        return tuple((c, m) for c in self.components for m in c.models)

    def model(self, name: str, engine: str, supply: str | None = None) -> CatalogModel | None:
        """Return the model that `engine` serves under `name` or an alias, or None.

        Where several have it as their alias, the one that `supply` can deliver.
        """
        called = [m for c, m in self.models if c.name == engine and (name == m.name or name in m.aliases)]
        had = [m for m in called if supply and getattr(m.artifact, supply) is not None]
        return next(iter(had or called), None)

    def model_of(self, name: str, tag: str) -> CatalogModel | None:
        """Return the model whose artifact has this name and tag, or None."""
        return next((m for _, m in self.models if (m.artifact.name, m.tag) == (name, tag)), None)

    def recipe(self, kind: str, name: str, version: str = "") -> tuple[Component, ArtifactRecipe]:
        """Return component and recipe behind an artifact of a lock; models of one name differ by version.

        Raises:
            KeyError: no component has such an artifact.
        """
        models = [(c, m.artifact) for c, m in self.models if m.tag == version]
        every = [(c, a) for c in self.components for a in (*c.artifacts, *(m.artifact for m in c.models))]
        for component, recipe in (*models, *every):
            if (recipe.kind, recipe.name) == (kind, name):
                return component, recipe
        raise KeyError(f"no component has the {kind} {name}")


@cache
def load_catalog() -> Catalog:
    """Read the shipped catalogue once.

    Raises:
        AiplatError: a plane or component file is not what it should be (a defect of this installation).
    """
    return read_catalog(shipped("charts"))


def read_catalog(charts: Path) -> Catalog:
    """Read every plane.yaml and component.yaml below `charts`.

    Raises:
        AiplatError: naming every file that is not what it should be.
    """
    findings: list[Finding] = []
    planes = [_read(p, Plane, findings) for p in sorted(charts.glob("*/plane.yaml"))]
    components = [_read(p, Component, findings) for p in sorted(charts.glob("*/*/component.yaml"))]
    if findings:
        raise AiplatError(findings)
    ordered = sorted((p for p in planes if p), key=lambda p: p.order)
    rank = {p.name: p.order for p in ordered}
    present = sorted((c for c in components if c), key=lambda c: (rank.get(c.plane, 99), c.order, c.name))
    return Catalog(tuple(ordered), tuple(present))


def _read(path: Path, model: type[Document], findings: list[Finding]) -> Document | None:
    """Return one file as `model`, or note what is wrong with it."""
    where = "/".join(path.parts[-3:])
    try:
        data: Any = YAML(typ="safe", pure=True).load(path)
        if model is Component and isinstance(data, dict):
            data["folder"] = path.parent
            data["models"] = [*data.get("models", ()), *model_entries(path.parent)]
        if model is Plane and isinstance(data, dict):
            data["models_later"] = later_entries(path.parent)
        return model.model_validate(data)
    except YAMLError as error:
        findings.append(Finding(where, f"this is not YAML: {error}"))
    except ValidationError as error:
        findings += findings_of(error, where, model)
    except ValueError as error:
        findings.append(Finding(where, f"its models: {error}"))
    return None
