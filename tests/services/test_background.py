"""A task in the background that fails is begun again, and that is said."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys

import pytest

from aiplat.services.background import Task, in_background, keep_running
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio


async def test_a_task_that_fails_or_ends_is_begun_again(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it raised; each time is counted by its name and logged."""
    begun, restarted, enough = 0, [], asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise OverflowError("a number from outside")
        if begun == 3:
            enough.set()
            await asyncio.Event().wait()

    with caplog.at_level(logging.ERROR):
        task = asyncio.ensure_future(keep_running(Task("budgets", work), restarted.append, pause=0.001))
        await asyncio.wait_for(enough.wait(), PATIENCE)
        task.cancel()
    assert restarted == ["budgets", "budgets"]
    assert "budgets failed and is begun again" in caplog.text


async def test_a_task_that_swallows_a_cancellation_ends_with_its_block() -> None:
    """It is cancelled again: the block, and with it the process, does not wait forever."""
    swallowed = []

    async def work() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append(True)

    async with in_background(Task("t", work), lambda _: None):
        await asyncio.sleep(0)
    assert swallowed


async def test_a_task_that_never_ends_is_left_behind(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block ends all the same, and the log names the task."""
    monkeypatch.setattr("aiplat.services.background.END_SECONDS", 0.0)
    gone = asyncio.Event()

    async def work() -> None:
        while not gone.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gone.wait()

    async with in_background(Task("budgets", work), lambda _: None):
        await asyncio.sleep(0)
    assert "budgets does not end" in caplog.text
    gone.set()


async def test_a_task_ends_with_its_block() -> None:
    """It is cancelled, and waited for."""
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async with in_background(Task("t", work), lambda _: None):
        await asyncio.sleep(0)
    assert ended


SWALLOWS = """
import asyncio
from aiplat.services.background import as_process

async def swallowing(times):
    while times:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            times -= 1

async def work(times):
    asyncio.get_running_loop().kept = asyncio.create_task(swallowing(times))
    await asyncio.sleep(0)
    {end}

asyncio.run(as_process(work({times})))
"""


@pytest.mark.parametrize(
    ("times", "end", "code", "left"),
    [(2, "", 0, False), (1 << 30, "", 0, True), (2, "raise SystemExit(3)", 3, False)],
    ids=["swallows-some", "swallows-all", "fails"],
)
def test_a_process_leaves_whatever_its_tasks_swallow(times: int, end: str, code: int, left: bool) -> None:
    """Asyncio's runner would cancel once, and wait for ever."""
    program = SWALLOWS.format(times=times, end=end or "pass")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == code, done.stderr
    assert ("the process leaves without them" in done.stderr) is left
