"""Tasks that run as long as a service does: one that fails is begun again, and that is said."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass

from aiplat.errors import EXIT_BAD_INPUT, AiplatError
from aiplat.services.bounds import END_SECONDS, LONGEST_RESTART_SECONDS, RESTART_SECONDS
from aiplat.services.request_id import log_to_stderr

log = logging.getLogger("aiplat.services")

_AGAIN_SECONDS = 0.5


@dataclass(frozen=True)
class Task:
    """What runs until it is cancelled; `begin` is called again after a failure."""

    name: str
    begin: Callable[[], Awaitable[None]]


async def keep_running(task: Task, restarted: Callable[[str], None], pause: float = RESTART_SECONDS) -> None:
    """Run a task until cancelled, whatever becomes of it; `restarted` hears its name after each failure."""
    loop, wait = asyncio.get_running_loop(), pause
    while True:
        begun = loop.time()
        try:
            await task.begin()
            log.error("%s ended, which it never should; it is begun again", task.name)
        except Exception:
            # Neither a value from outside nor a fault of disk or database may end the process.
            log.exception("%s failed and is begun again", task.name)
        restarted(task.name)
        wait = pause if loop.time() - begun > LONGEST_RESTART_SECONDS else wait
        await asyncio.sleep(wait)
        wait = min(2 * wait, LONGEST_RESTART_SECONDS)


@contextlib.asynccontextmanager
async def in_background(task: Task, restarted: Callable[[str], None]) -> AsyncIterator[None]:
    """Keep a task running until the block ends."""
    running = asyncio.create_task(keep_running(task, restarted))
    try:
        yield
    finally:
        await _end(running, task.name)


async def _end(running: asyncio.Task[None], name: str) -> None:
    # A library can swallow one cancellation: without another, the process would wait here forever.
    deadline = asyncio.get_running_loop().time() + END_SECONDS
    while not running.done():
        running.cancel()
        await asyncio.wait({running}, timeout=_AGAIN_SECONDS)
        if not running.done() and asyncio.get_running_loop().time() > deadline:
            log.error("%s does not end; it is left behind", name)
            return


async def as_process(work: Coroutine[object, object, None]) -> None:
    """Do a process's work, and end whatever of it still runs; what asyncio's runner is to be given.

    The runner cancels each task once and waits without end for one that a library let swallow it.
    """
    try:
        await work
    except BaseException:
        await _end_others(1)
        raise
    await _end_others(0)


async def _end_others(code: int) -> None:
    """Cancel every other task until all are done; the process leaves with `code` where one never is."""
    loop = asyncio.get_running_loop()
    mine, deadline = asyncio.current_task(), loop.time() + END_SECONDS
    while others := asyncio.all_tasks() - {mine}:
        if loop.time() > deadline:
            log.error("%d tasks do not end; the process leaves without them", len(others))
            logging.shutdown()
            os._exit(code)
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=_AGAIN_SECONDS)


def exit_code_of(name: str, service: Coroutine[object, object, None]) -> int:
    """Run a service until it ends and return its exit code; what stopped it is logged under `name`.

    0 after a signal; the error's own code, or 2 where something of the machine is not as it must be.
    """
    log_to_stderr()
    logger = logging.getLogger(name)
    try:
        asyncio.run(as_process(service))
    except AiplatError as error:
        for finding in error.findings:
            logger.critical("%s", finding)
        return error.exit_code
    except OSError as error:
        logger.critical("%s", error)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        # uvicorn stops cleanly and then passes the signal on.
        return 0
    return 0
