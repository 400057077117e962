"""What components wrote, read from their pods within bounds: the newest lines, and those that follow."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from anyio import CapacityLimiter, to_thread

from aiplat.cluster.log_line import Level, LogLine
from aiplat.cluster.pod_logs import LogQuestion, lines_of, serious
from aiplat.cluster.raw import Document, RawObjects
from aiplat.errors import Finding
from aiplat.services.bounds import LOG_BYTES, LOG_LOOKS, LOG_PODS, LOG_READ, LOG_SHOWN, LOG_TEXT
from aiplat.services.store.faults import NotThere

_NEVER = datetime.min.replace(tzinfo=UTC)
# Clocks of nodes differ a little from the portal's: what is read twice is left out by its own time.
_OVERLAP_SECONDS = 10


@dataclass(frozen=True)
class PodsOf:
    """Where the pods of a component are."""

    namespace: str
    selector: str


def places_of(components: tuple[Mapping[str, Any], ...]) -> dict[str, PodsOf]:
    """Return where the components with a log have their pods, by name."""
    return {
        str(c["name"]): PodsOf(str(c["logs"]["namespace"]), str(c["logs"]["selector"]))
        for c in components
        if c.get("logs")
    }


class LogsLook:
    """Reads the logs of components; only so many looks at once, each within the bounds."""

    def __init__(self, objects: RawObjects, places: Mapping[str, PodsOf]) -> None:
        self._objects, self._places = objects, dict(places)
        self._looks = CapacityLimiter(LOG_LOOKS)

    @property
    def names(self) -> list[str]:
        """The components that have a log here."""
        return sorted(self._places)

    async def newest(self, name: str, since: timedelta, level: Level) -> list[LogLine]:
        """Return the newest lines of a component, oldest first.

        Raises:
            NotThere: there is no such component.
            AiplatError: the cluster does not say.
        """
        question = LogQuestion(datetime.now(UTC) - since, LOG_READ, level, most=LOG_BYTES)
        return await self._read(name, question, LOG_SHOWN)

    def follow(self, name: str, level: Level, after: datetime) -> LogTail:
        """Return what reads on behind a moment.

        Raises:
            NotThere: there is no such component.
        """
        self._place(name)
        return LogTail(self, name, level, after)

    async def since(self, name: str, moment: datetime) -> list[LogLine]:
        """Return the lines of a component that were written about after a moment, and some before it.

        Raises:
            AiplatError: the cluster does not say.
        """
        now = datetime.now(UTC)
        ago = math.ceil(max((now - moment).total_seconds(), 0)) + _OVERLAP_SECONDS
        question = LogQuestion(now - timedelta(seconds=ago), LOG_READ, most=LOG_BYTES)
        return await self._read(name, question, LOG_READ)

    async def _read(self, name: str, question: LogQuestion, most: int) -> list[LogLine]:
        place = self._place(name)
        return await to_thread.run_sync(self._lines, place, question, most, limiter=self._looks)

    def _lines(self, place: PodsOf, question: LogQuestion, most: int) -> list[LogLine]:
        pods = self._objects.listed("Pod", place.namespace, place.selector)
        pods = sorted(pods, key=_made, reverse=True)[:LOG_PODS]
        # Cut as they come: whole lines may be a thousand times as long, and this many are held.
        return list(deque(map(_cut, lines_of(self._objects, pods, question)), most))

    def _place(self, name: str) -> PodsOf:
        if name not in self._places:
            problem = "is not a component of the site with a log in the cluster"
            raise NotThere([Finding(name or "component", problem, "choose one of the list")])
        return self._places[name]


class LogTail:
    """Follows a component: each look returns what is new since the one before, also of pods that are new."""

    def __init__(self, logs: LogsLook, name: str, level: Level, after: datetime) -> None:
        self._logs, self._name, self._level = logs, name, level
        self._began = self._last = after
        self._seen: dict[str, datetime] = {}

    async def read(self) -> list[LogLine]:
        """Return what was written since the last look, oldest first, at most as much as a page shows.

        Raises:
            AiplatError: the cluster does not say.
        """
        found = await self._logs.since(self._name, self._last)
        new = [line for line in found if line.time > self._seen.get(line.source, self._began)]
        for line in new:
            self._seen[line.source] = line.time
            self._last = max(self._last, line.time)
        wanted = list(serious(new, self._level))
        if len(wanted) > LOG_SHOWN or len(found) == LOG_READ == len(new):
            return [_too_much(wanted[-LOG_SHOWN].time if wanted else self._last), *wanted[-LOG_SHOWN:]]
        return wanted


def _too_much(moment: datetime) -> LogLine:
    text = "more was written than is shown here"
    return LogLine(time=moment, source="portal", level="warning", text=text)


def _cut(line: LogLine) -> LogLine:
    return line.model_copy(update={"text": line.text[:LOG_TEXT]}) if len(line.text) > LOG_TEXT else line


def _made(pod: Document) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))
