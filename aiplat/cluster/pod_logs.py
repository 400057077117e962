"""What pods wrote, as lines with time and level in the order of time; which pods, who asks has decided."""

from __future__ import annotations

import heapq
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aiplat.cluster.log_line import Level, LogLine, level_of
from aiplat.cluster.raw import Document, LogQuery, RawObjects
from aiplat.errors import AiplatError
from aiplat.moments import moment_of

_LEFT_OUT = "WARNING more was written here than is read"


@dataclass(frozen=True)
class LogQuestion:
    """Which lines: from `since` on, at most `tail` of each container, as serious as `level` or worse.

    `most` is how many bytes are read of each container at once, None: all. Of more than that the newest lines
    are read as well, and what lies between is left out.
    """

    since: datetime | None = None
    tail: int | None = None
    level: Level = "debug"
    follow: bool = False
    previous: bool = False
    most: int | None = None


def lines_of(objects: RawObjects, pods: Sequence[Document], wanted: LogQuestion) -> Iterator[LogLine]:
    """Yield what pods wrote, oldest first; with `follow` as it comes. A container without a log says why."""
    query = LogQuery(
        tail=wanted.tail,
        since_seconds=_seconds_since(wanted.since),
        follow=wanted.follow,
        previous=wanted.previous,
        most=wanted.most,
    )
    streams = [
        _container(objects, pod, replace(query, container=container["name"]))
        for pod in pods
        for container in pod["spec"]["containers"]
    ]
    merged = _as_they_come(streams) if wanted.follow else heapq.merge(*streams, key=lambda line: line.time)
    return serious(merged, wanted.level)


def serious(lines: Iterable[LogLine], level: Level) -> Iterator[LogLine]:
    """Return the lines that are as serious as `level`, or worse."""
    return (line for line in lines if line.at_least(level))


def _seconds_since(since: datetime | None) -> int | None:
    return None if since is None else max(1, round((datetime.now(UTC) - since).total_seconds()))


def _container(objects: RawObjects, pod: Document, query: LogQuery) -> Iterator[LogLine]:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    several = len(pod["spec"]["containers"]) > 1
    source = f"{name}/{query.container}" if several else name
    last: Level | None = None
    try:
        for time, said in _read(objects, namespace, name, query):
            # A line that does not say how serious it is takes the level of the one before.
            last = level_of(said) or last
            yield LogLine(time=time, source=source, level=last or "", text=said)
    except AiplatError as error:
        # One container that has not started yet must not keep the lines of the others from being seen.
        text = f"no log: {error.findings[0].problem}"
        yield LogLine(time=datetime.now(UTC), source=source, level="warning", text=text)


def _read(objects: RawObjects, namespace: str, pod: str, query: LogQuery) -> Iterator[tuple[datetime, str]]:
    """Yield the lines of a container with their time, to the newest one.

    The API counts bytes from the oldest line on. Where they end before the newest, fewer lines are asked for.
    """
    read: datetime | None = None
    while True:
        answer, before = _Answer(objects.log(namespace, pod, query), query.most), read
        for number, text in enumerate(answer):
            stamp, _, said = text.partition(" ")
            read = _time(stamp)
            if before is not None and number == 0 and read > before:
                yield read, _LEFT_OUT
            if before is None or read > before:
                yield read, said
        if not answer.cut:
            return
        query = replace(query, tail=answer.cut // 2)


class _Answer:
    """The lines of one answer. `cut` is how many they are where a limit on bytes ended it, otherwise 0."""

    def __init__(self, lines: Iterator[str], most: int | None) -> None:
        self._lines, self._most = lines, most
        self.cut = 0

    def __iter__(self) -> Iterator[str]:
        if self._most is None:
            # Each as it comes: somebody follows.
            yield from self._lines
            return
        size, count, held = 0, 0, ""
        for line in self._lines:
            if count:
                yield held
            size, count, held = size + len(line.encode()) + 1, count + 1, line
        if size >= self._most and count > 1:
            # The last one may be cut off in the middle, even of its time.
            self.cut = count
        elif count:
            yield held


def _time(stamp: str) -> datetime:
    try:
        # A runtime that has no log says so in a line without a time, which may look like one without a zone.
        return moment_of(stamp, zoned=True)
    except ValueError:
        return datetime.now(UTC)


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
