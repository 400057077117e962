"""A deadline ends what takes too long, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from aiplat.services.gateway.http.deadline import Deadline

pytestmark = pytest.mark.anyio


async def test_what_takes_too_long_is_ended() -> None:
    """Its task continues afterwards as if it had never been cancelled."""
    with pytest.raises(TimeoutError), Deadline(0.0):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_what_is_done_in_time_is_left_alone() -> None:
    """Also a fault of its own."""
    with Deadline(3600):
        await asyncio.sleep(0)
    with pytest.raises(KeyError), Deadline(3600):
        raise KeyError


async def test_a_cancellation_by_somebody_else_stays_one() -> None:
    """Nobody may take it for a matter of time."""

    async def wait() -> None:
        with Deadline(3600):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
