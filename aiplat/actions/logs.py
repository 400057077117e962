"""`aiplat logs`: what a component's pods or host units wrote, in the order of time; changes nothing."""

from __future__ import annotations

import heapq
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aiplat.actions.log_line import Level, LogLine, level_of
from aiplat.actions.model import NAMESPACE, find_model, objects_of
from aiplat.actions.unit_logs import UNITS, unit_lines
from aiplat.catalog.components import Component
from aiplat.catalog.resolve import components_on
from aiplat.cluster.raw import Document, LogQuery, RawObjects
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.site.findings import did_you_mean
from aiplat.site.models import Site

_ENGINE = "aiplat.dev/engine"
_INSTANCE = "app.kubernetes.io/instance"


@dataclass(frozen=True)
class LogQuestion:
    """Which lines: from `since` on, at most `tail` of each container, as serious as `level` or worse."""

    since: datetime | None = None
    tail: int | None = None
    level: Level = "debug"
    follow: bool = False
    previous: bool = False


def component_logs(site: Site, name: str, wanted: LogQuestion) -> Iterator[LogLine]:
    """Yield what a component of the site wrote, oldest first; with `follow` as it comes.

    Raises:
        BadInput: the site has no such component, it has no log, or nothing of it runs.
        AiplatError: cluster or hosts cannot be asked.
    """
    component = _component(site, name)
    if component.name in UNITS:
        return _serious(unit_lines(site, component.name, wanted.since, wanted.tail, wanted.follow), wanted)
    objects = objects_of(site)
    pods = [p for p in objects.listed("Pod", *_where(component, site)) if _belongs(component, p)]
    if not pods:
        fix = "look with `aiplat status`"
        raise BadInput(Finding(component.name, "has no pod at the moment", fix))
    return _serious(_of_pods(objects, pods, wanted), wanted)


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
    return _serious(_of_pods(objects, pods, wanted), wanted)


def _component(site: Site, name: str) -> Component:
    on = {c.name: c for c in components_on(site) if c.namespace or c.engine or c.name in UNITS}
    if name not in on:
        hint = did_you_mean(name, on, "those that have one")
        raise BadInput(Finding(f"component {name}", "the site has none of that name with a log", hint))
    return on[name]


def _where(component: Component, site: Site) -> tuple[str, str]:
    """Return namespace and selector of a component's pods."""
    if component.engine:
        return NAMESPACE, f"{_ENGINE}={component.name}"
    namespace = component.namespace or ""
    alone = not any(c.namespace == namespace and c is not component for c in components_on(site))
    # Charts of others label their pods as they like; where nobody else lives, all of them are meant.
    return namespace, "" if alone else f"{_INSTANCE}={component.name}"


def _belongs(component: Component, pod: Document) -> bool:
    # Pods that the operator makes carry its name as well; theirs is the engine's log.
    return bool(component.engine) or _ENGINE not in pod["metadata"].get("labels", {})


def _of_pods(objects: RawObjects, pods: Sequence[Document], wanted: LogQuestion) -> Iterator[LogLine]:
    query = LogQuery(
        tail=wanted.tail,
        since_seconds=_seconds_since(wanted.since),
        follow=wanted.follow,
        previous=wanted.previous,
    )
    streams = [
        _container(objects, pod, replace(query, container=container["name"]))
        for pod in pods
        for container in pod["spec"]["containers"]
    ]
    return _as_they_come(streams) if wanted.follow else heapq.merge(*streams, key=lambda line: line.time)


def _seconds_since(since: datetime | None) -> int | None:
    return None if since is None else max(1, round((datetime.now(UTC) - since).total_seconds()))


def _container(objects: RawObjects, pod: Document, query: LogQuery) -> Iterator[LogLine]:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    several = len(pod["spec"]["containers"]) > 1
    source = f"{name}/{query.container}" if several else name
    last: Level | None = None
    try:
        for text in objects.log(namespace, name, query):
            stamp, _, said = text.partition(" ")
            # A line that does not say how serious it is takes the level of the one before.
            last = level_of(said) or last
            yield LogLine(time=_time(stamp), source=source, level=last or "", text=said)
    except AiplatError as error:
        # One container that has not started yet must not keep the lines of the others from being seen.
        text = f"no log: {error.findings[0].problem}"
        yield LogLine(time=datetime.now(UTC), source=source, level="warning", text=text)


def _time(stamp: str) -> datetime:
    try:
        return datetime.fromisoformat(stamp)
    except ValueError:
        return datetime.now(UTC)


def _serious(lines: Iterable[LogLine], wanted: LogQuestion) -> Iterator[LogLine]:
    return (line for line in lines if line.at_least(wanted.level))


def _as_they_come(streams: Sequence[Iterator[LogLine]]) -> Iterator[LogLine]:
    """Yield the lines of streams that have no end, each read by a thread, until all have ended."""
    come: queue.Queue[LogLine | None] = queue.Queue(maxsize=1000)

    def read(stream: Iterator[LogLine]) -> None:
        for line in stream:
            come.put(line)
        come.put(None)

    for stream in streams:
        threading.Thread(target=read, args=(stream,), daemon=True).start()
    left = len(streams)
    while left:
        line: Any = come.get()
        if line is None:
            left -= 1
        else:
            yield line
