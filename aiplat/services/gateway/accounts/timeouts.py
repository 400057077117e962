"""Waits for a database only so long: one that is frozen does not even let go of what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiplat.errors import Finding
from aiplat.services.store.faults import Unreachable

_T = TypeVar("_T")


async def within(seconds: float, work: Coroutine[Any, Any, _T]) -> _T:
    """Return what `work` returns; after `seconds` it is told to end, and not waited for.

    Raises:
        Unreachable: it took longer.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.add_done_callback(_unheard)
        task.cancel()
        raise Unreachable(Finding("database", f"it did not answer within {seconds:g} s"))
    return task.result()


def _unheard(task: asyncio.Task[Any]) -> None:
    # Whatever it ends with is nobody's any more; asking keeps asyncio from complaining.
    if not task.cancelled():
        task.exception()
