"""`aiplat logs`: what a component's pods or host units wrote, in the order of time; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from aiplat.actions.model import NAMESPACE, find_model, objects_of
from aiplat.actions.unit_logs import UNITS, unit_lines
from aiplat.catalog.components import Component
from aiplat.catalog.log_places import log_place
from aiplat.catalog.resolve import components_on
from aiplat.cluster.log_line import LogLine
from aiplat.cluster.pod_logs import LogQuestion, lines_of, serious
from aiplat.errors import BadInput, Finding
from aiplat.site.findings import did_you_mean
from aiplat.site.models import Site


def component_logs(site: Site, name: str, wanted: LogQuestion) -> Iterator[LogLine]:
    """Yield what a component of the site wrote, oldest first; with `follow` as it comes.

    Raises:
        BadInput: the site has no such component, it has no log, or nothing of it runs.
        AiplatError: cluster or hosts cannot be asked.
    """
    on = components_on(site)
    component = _component(on, name)
    if component.name in UNITS:
        lines = unit_lines(site, component.name, wanted.since, wanted.tail, wanted.follow)
        return serious(lines, wanted.level)
    objects, place = objects_of(site), log_place(component, on)
    pods = objects.listed("Pod", place.namespace, place.selector) if place else []
    if not pods:
        fix = "look with `aiplat status`"
        raise BadInput(Finding(component.name, "has no pod at the moment", fix))
    return lines_of(objects, pods, wanted)


def model_logs(site: Site, name: str, wanted: LogQuestion) -> Iterator[LogLine]:
    """Yield what a model's engines wrote, oldest first; with `follow` as it comes.

    Raises:
        BadInput: there is no such Model, or nothing runs for it.
        AiplatError: the cluster cannot be asked.
    """
    model, objects = find_model(site, name), objects_of(site)
    pods = objects.listed("Pod", NAMESPACE, model.selector) if model.selector else []
    if not pods:
        raise BadInput(Finding(f"Model {model.title}", f"has no pod: {model.message}"))
    return lines_of(objects, pods, wanted)


def _component(on: tuple[Component, ...], name: str) -> Component:
    known = {c.name: c for c in on if log_place(c, on) or c.name in UNITS}
    if name not in known:
        hint = did_you_mean(name, known, "those that have one")
        raise BadInput(Finding(f"component {name}", "the site has none of that name with a log", hint))
    return known[name]
