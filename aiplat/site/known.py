"""The names a site may use (planes, components, models), read from charts/; the rest is catalog's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ruamel.yaml import YAML

from aiplat.shipped import shipped
from aiplat.site.model_files import later_entries, model_entries


@dataclass(frozen=True)
class KnownModel:
    """A model of the catalogue: its name, other names for it, and the engine that serves it."""

    name: str
    aliases: tuple[str, ...]
    engine: str


@dataclass(frozen=True)
class Known:
    """Every name that a site may use; `components` maps a plane to its components, planned ones too."""

    components: dict[str, frozenset[str]]
    models: tuple[KnownModel, ...]
    engines: tuple[str, ...] = ()
    """Components that serve models; those that are on by default come first."""
    later: Mapping[str, str] = field(default_factory=dict)
    """Names of models that no engine of this version runs, with what they need."""
    forms: Mapping[str, str] = field(default_factory=dict)
    """The form of the weights that each engine reads."""
    features: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What each engine can do."""

    def planes_of(self, component: str) -> list[str]:
        """Return the planes that have a component of this name."""
        return [plane for plane, names in self.components.items() if component in names]

    def named(self, name: str) -> list[KnownModel]:
        """Return the models, one an engine, that go by `name` or have it as an alias."""
        return [m for m in self.models if name == m.name or name in m.aliases]

    @property
    def model_names(self) -> list[str]:
        """Every name and alias of a model."""
        return list(dict.fromkeys(name for m in self.models for name in (m.name, *m.aliases)))


@cache
def known_names() -> Known:
    """Read the shipped charts folder once; folders are components, plane.yaml lists those still to come."""
    charts = shipped("charts")
    components: dict[str, frozenset[str]] = {}
    for path in sorted(charts.glob("*/plane.yaml")):
        plane = _read(path)
        present = {p.parent.name for p in path.parent.glob("*/component.yaml")}
        components[path.parent.name] = frozenset(present | {c["name"] for c in plane.get("planned", ())})
    read = {path.parent: _read(path) for path in sorted(charts.glob("*/*/component.yaml"))}
    serving = [(folder, component) for folder, component in read.items() if "engine" in component]
    serving.sort(key=lambda one: one[1].get("default") != "on")
    models = tuple(
        KnownModel(m["name"], tuple(m.get("aliases", ())), engine["name"])
        for folder, engine in serving
        for m in (*engine.get("models", ()), *model_entries(folder))
    )
    later = {
        name: str(m["needs"])
        for plane in sorted(charts.iterdir())
        for m in later_entries(plane)
        for name in (m["name"], *m.get("aliases", ()))
    }
    engines = {engine["name"]: engine["engine"] for _, engine in serving}
    forms = {name: engine["run"]["weights"]["form"] for name, engine in engines.items()}
    features = {name: frozenset(engine["features"]) for name, engine in engines.items()}
    return Known(components, models, tuple(engines), later, forms, features)


def _read(path: Any) -> dict[str, Any]:
    document: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    return document
