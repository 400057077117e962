"""What the cluster tells the portal of runs and of events: looked at once for all who watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from anyio import to_thread

from aiplat.cluster.raw import RawObjects
from aiplat.cluster.run_reports import KeptReport, ReportShelf
from aiplat.errors import AiplatError
from aiplat.moments import moment_of
from aiplat.services.bounds import EVENTS_LISTED, EVENTS_SHOWN, STREAM_LOOK_SECONDS

SILENT_SECONDS = 60.0
"""A run tells of itself every 15 seconds: after four that did not come it is called silent."""
_TEXT = 500


@dataclass(frozen=True)
class EventSeen:
    """An event of the cluster: when it was last seen, on what, and how often."""

    at: datetime | None
    about: str
    reason: str
    message: str
    count: int
    warning: bool


@dataclass(frozen=True)
class Happening:
    """Runs, newest first, and events of the cluster; `fault` says why there are none."""

    runs: tuple[KeptReport, ...] = ()
    events: tuple[EventSeen, ...] = ()
    fault: str = ""

    def run(self, name: str) -> KeptReport | None:
        """Return a run by its id, or the newest one where none is named."""
        return next((kept for kept in self.runs if name in {"", kept.report.id}), None)


class RunsLook:
    """Looks at the reports of runs in one namespace, and at the events of the platform's namespaces."""

    def __init__(self, objects: RawObjects, namespace: str, platform: Sequence[str]) -> None:
        self._objects, self._platform = objects, tuple(platform)
        self._shelf = ReportShelf(objects, namespace)
        self._looking = asyncio.Lock()
        self._looked = float("-inf")
        self._runs: dict[str, KeptReport] = {}
        self._at_work: frozenset[str] = frozenset()

    async def happening(self) -> Happening:
        """Return everything; a cluster that does not answer is a fault, not an error."""
        try:
            return await to_thread.run_sync(self._all)
        except AiplatError as error:
            return Happening(fault="; ".join(map(str, error.findings)))

    async def newest(self) -> KeptReport | None:
        """Return the newest run; however many ask, the cluster is asked once a second.

        Raises:
            AiplatError: the cluster does not say.
        """
        async with self._looking:
            if time.monotonic() - self._looked >= STREAM_LOOK_SECONDS:
                await to_thread.run_sync(self._look)
                self._looked = time.monotonic()
        return max(self._runs.values(), key=lambda kept: kept.report.id, default=None)

    def _look(self) -> None:
        """Ask for the runs at work alone, which is little, and for all only when others are at work."""
        working = {kept.report.id: kept for kept in self._shelf.listed(at_work=True)}
        if self._looked < 0 or working.keys() != self._at_work:
            self._runs = {kept.report.id: kept for kept in self._shelf.listed()}
        self._runs |= working
        self._at_work = frozenset(working)

    def _all(self) -> Happening:
        return Happening(tuple(self._shelf.listed()), tuple(self._events()))

    def _events(self) -> list[EventSeen]:
        found = [
            _event(document)
            for namespace in self._platform
            for document in self._objects.listed("Event", namespace, most=EVENTS_LISTED)
        ]
        oldest = datetime.min.replace(tzinfo=UTC)
        return sorted(found, key=lambda event: event.at or oldest, reverse=True)[:EVENTS_SHOWN]


def is_silent(kept: KeptReport, now: datetime | None = None) -> bool:
    """Whether a run that is not over has told nothing for too long, by the cluster's clock."""
    if kept.report.over or kept.arrived is None:
        return False
    return ((now or datetime.now(UTC)) - kept.arrived).total_seconds() > SILENT_SECONDS


def _event(document: dict[str, Any]) -> EventSeen:
    about, series = document.get("involvedObject") or {}, document.get("series") or {}
    times = (series.get("lastObservedTime"), document.get("lastTimestamp"), document.get("eventTime"))
    return EventSeen(
        at=_moment(next(filter(None, times), "")),
        about=f"{about.get('kind', '')} {about.get('namespace', '')}/{about.get('name', '')}",
        reason=str(document.get("reason", "")),
        message=str(document.get("message", ""))[:_TEXT],
        count=int(series.get("count") or document.get("count") or 1),
        warning=document.get("type") == "Warning",
    )


def _moment(text: object) -> datetime | None:
    try:
        return moment_of(text)
    except ValueError:
        return None
