"""The values that a site gives a component: those of its profile, and what the site writes over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiplat.catalog.components import Component
from aiplat.errors import Finding
from aiplat.site.models import ComponentSetting, Site
from aiplat.site.references import is_reference


def values_of(site: Site, component: Component) -> dict[str, Any]:
    """Return the values of the component's profile with the site's own laid on them."""
    asked = _asked(site, component)
    name = asked.profile or site.profile
    profile = {} if name == "small" else component.profiles.get(name, {})
    return merged(profile, asked.values)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` laid on it: maps key by key, everything else, as references, replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and not is_reference(value):
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result


def absent_profile(site: Site, component: Component) -> Iterator[Finding]:
    """Yield that a site asks a component by name for a size that it does not have."""
    asked = _asked(site, component).profile
    if asked not in (None, "small", *component.profiles):
        where = f"planes.{component.plane}.{component.name}.profile"
        yield Finding(where, f"{component.name} has one size", "leave it out")


def _asked(site: Site, component: Component) -> ComponentSetting:
    return site.planes.get(component.plane, {}).get(component.name) or ComponentSetting()
