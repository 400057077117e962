"""Rules about planes and components by name; whether this version can deliver them is aiplat.catalog's."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

from collections.abc import Iterator

from aiplat.site.document import YamlDocument
from aiplat.site.findings import SiteFinding, did_you_mean, shown
from aiplat.site.known import Known
from aiplat.site.models import PLANES


def unknown_plane(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Every key under `planes` is the slug of a plane."""
    for path, _ in document.entries("planes"):
        if path[-1] not in PLANES:
            problem = f"{shown(path[-1])} is not a plane"
            yield document.finding(path, problem, did_you_mean(path[-1], PLANES, "planes"))


def unknown_component(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Every key under a plane is a component that aiplat knows, in this version or planned."""
    for plane, _ in document.entries("planes"):
        own = known.components.get(str(plane[-1]))
        for path, _ in document.entries(*plane) if own is not None else ():
            if not known.planes_of(str(path[-1])):
                problem = f"{shown(path[-1])} is not a component of the plane {plane[-1]}"
                every = {name for names in known.components.values() for name in names}
                hint = did_you_mean(path[-1], every, "components")
                near = hint.startswith("did you mean")
                yield document.finding(path, problem, hint if near else did_you_mean("", own or (), "it has"))


def component_of_other_plane(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A component stands under its own plane."""
    for plane, _ in document.entries("planes"):
        for path, _ in document.entries(*plane) if plane[-1] in PLANES else ():
            planes = known.planes_of(str(path[-1]))
            if planes and plane[-1] not in planes:
                problem = f"{path[-1]} is a component of the plane {planes[0]}"
                yield document.finding(path, problem, f"write it under planes.{planes[0]}")
