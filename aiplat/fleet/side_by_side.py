"""Asks many hosts at once, and ends what is under way as soon as somebody interrupts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from aiplat.fleet.ssh import end_commands

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_LOOK_SECONDS = 0.1


def of_each(items: Iterable[_In], work: Callable[[_In], _Out], at_once: int = 32) -> list[_Out]:
    """Return what `work` makes of each item, in their order."""
    pool = ThreadPoolExecutor(max_workers=at_once)
    futures: list[Future[_Out]] = []
    try:
        futures += [pool.submit(work, item) for item in items]
        return [future.result() for future in futures]
    except BaseException:
        # Whoever interrupts does not want to wait for a silent host.
        pool.shutdown(wait=False, cancel_futures=True)
        # A future that was cancelled is done, though `wait` does not say so.
        while going_on := [future for future in futures if not future.done()]:
            end_commands()
            wait(going_on, timeout=_LOOK_SECONDS)
        raise
    finally:
        pool.shutdown()
