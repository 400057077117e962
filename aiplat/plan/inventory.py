"""What a site runs, for people: its components with plane, version, licence, purpose, and where they log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiplat.catalog.artifacts import Lock
from aiplat.catalog.components import Component
from aiplat.catalog.log_places import log_place


def inventory(on: Sequence[Component], lock: Lock) -> list[dict[str, Any]]:
    """Return the components that are on, by plane and name; a version is that of the first artifact."""
    versions: dict[str, str] = {}
    for artifact in lock.artifacts:
        versions.setdefault(artifact.component, artifact.version)
    return [
        {
            "name": component.name,
            "plane": component.plane,
            "version": versions.get(component.name, ""),
            "licence": component.licence.spdx,
            "purpose": component.purpose,
            **({"logs": vars(place)} if (place := log_place(component, on)) else {}),
        }
        for component in sorted(on, key=lambda c: (c.plane, c.name))
    ]
