"""Streams of events to pages that are open: how many there may be, and how long one lasts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

from sse_starlette import EventSourceResponse, ServerSentEvent

from aiplat.errors import AiplatError
from aiplat.services.bounds import (
    STREAM_LOOK_SECONDS,
    STREAM_SECONDS,
    STREAMS,
    STREAMS_A_VISITOR,
    WRITE_SECONDS,
)

# A page comes back by itself after this, in milliseconds.
_BACK = 1000
Look = Callable[[], Awaitable[ServerSentEvent | None]]
"""Looks once: an event for the page, or None where there is nothing new."""


class OpenStreams:
    """Counts the streams that are open, in all and of each visitor."""

    def __init__(self) -> None:
        self._by_visitor: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many are open."""
        return self._by_visitor.total()

    @contextmanager
    def place(self, visitor: str) -> Iterator[bool]:
        """Hold a place for a stream inside the block; yields False where there is none."""
        free = self.count < STREAMS and self._by_visitor[visitor] < STREAMS_A_VISITOR
        self._by_visitor[visitor] += free
        try:
            yield free
        finally:
            self._by_visitor[visitor] -= free
            self._by_visitor += Counter()  # who has none is forgotten


def streamed(streams: OpenStreams, visitor: str, look: Look) -> EventSourceResponse:
    """Answer with what `look` finds, again and again, for a while; then the browser asks again.

    So a visitor who lost the role, or signed out, is refused soon.
    """
    events = _events(streams, visitor, look)
    return EventSourceResponse(events, sep="\n", send_timeout=WRITE_SECONDS)


async def _events(streams: OpenStreams, visitor: str, look: Look) -> AsyncIterator[ServerSentEvent]:
    with streams.place(visitor) as free:
        if not free:
            # Anything else would make the browser ask again at once.
            yield ServerSentEvent(
                data="Too many pages are live at once: reload this one.", event="end", sep="\n"
            )
            return
        yield ServerSentEvent(comment="live", retry=_BACK, sep="\n")
        until = time.monotonic() + STREAM_SECONDS
        while time.monotonic() < until:
            try:
                event = await look()
            except AiplatError as error:
                event = ServerSentEvent(data=str(error), event="fault", sep="\n")
            if event:
                yield event
            await asyncio.sleep(STREAM_LOOK_SECONDS)
