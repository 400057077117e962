"""What a site's `values` of an engine change: the engine's defaults and its own settings; checked by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from aiplat.catalog.components import Component
from aiplat.catalog.engines import EngineDefaults, EngineRun, EngineSpec
from aiplat.catalog.values import merged, values_of
from aiplat.errors import Finding
from aiplat.frozen import findings_of
from aiplat.site.findings import did_you_mean
from aiplat.site.models import Site
from aiplat.site.references import is_reference

# What values of the engine's former Helm release are written as now.
_MOVED = {
    "models": "write them under `models` of the site",
    "image": "leave it out: the bundle says which image it is",
}


def run_of(engine: EngineSpec, values: Mapping[str, Any]) -> EngineRun:
    """Return how an engine is run, with its own settings as the site says them."""
    settings = {
        name: known.model_copy(update={"default": str(values.get(name, known.default))})
        for name, known in engine.run.settings.items()
    }
    return engine.run.model_copy(update={"settings": settings})


def defaults_of(engine: EngineSpec, values: Mapping[str, Any]) -> EngineDefaults:
    """Return what a replica runs with where a Model says nothing, by the site where it says so.

    Raises:
        ValueError: a value is not what it should be.
    """
    document = engine.defaults.model_dump(by_alias=True)
    said = {name: value for name, value in values.items() if name in document}
    return EngineDefaults.model_validate(merged(document, said))


def wrong_values(site: Site, component: Component) -> Iterator[Finding]:
    """Yield what a site says of an engine that the engine does not have, or not so."""
    engine, values = component.engine, values_of(site, component)
    if engine is None:
        return
    where = f"planes.{component.plane}.{component.name}.values"
    known = [*EngineDefaults.model_json_schema()["properties"], *engine.run.settings]
    for name, value in values.items():
        if name not in known:
            fix = _MOVED.get(name) or did_you_mean(name, known, "there are")
            yield Finding(f"{where}.{name}", f"{component.name} has no such value", fix)
        elif is_reference(value):
            yield Finding(f"{where}.{name}", "is not a secret", "write the value itself")
        elif (setting := engine.run.settings.get(name)) and not re.fullmatch(setting.pattern, str(value)):
            yield Finding(f"{where}.{name}", f"{value!r} does not match {setting.pattern}", "write it so")
    try:
        defaults_of(engine, values)
    except ValidationError as error:
        yield from findings_of(error, where, EngineDefaults)
