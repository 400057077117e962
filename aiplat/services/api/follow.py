"""A run's journal as server-sent events; what is in the journal is aiplat.runs' matter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from sse_starlette import ServerSentEvent

from aiplat.runs.history import Line, Tail
from aiplat.runs.journal import runs_dir
from aiplat.services.api.launch import GOING_ON, view_run

# People watch: four looks a second are live enough, and cost a look at one file each.
_LOOK_SECONDS = 0.25
_LAST = "run_finished"


async def follow(site: str, run: str, after: int) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of a run behind number `after`, as they come, until the run is over."""
    tail = Tail(runs_dir(site) / run, after)
    while True:
        # Asked before reading: what a run wrote at its very end is read after it was seen to be over.
        over = await asyncio.to_thread(_is_over, site, run)
        for line in await asyncio.to_thread(tail.read):
            yield _event(line)
            if line.event == _LAST:
                return
        if over:
            return
        await asyncio.sleep(_LOOK_SECONDS)


def is_told(site: str, run: str, after: int) -> bool:
    """Whether a run is over and its last event is not behind number `after`."""
    return _is_over(site, run) and not Tail(runs_dir(site) / run, after).read()


def _is_over(site: str, run: str) -> bool:
    return view_run(site, run).state not in GOING_ON


def _event(line: Line) -> ServerSentEvent:
    return ServerSentEvent(data=line.text, event=line.event, id=str(line.number), sep="\n")
