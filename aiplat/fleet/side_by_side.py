"""Asks many hosts at once, and ends what is under way as soon as somebody interrupts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TypeVar

from aiplat.fleet.ssh import end_commands

_In = TypeVar("_In")
_Out = TypeVar("_Out")
_LOOK_SECONDS = 0.05
_calls = count()


def of_each(items: Iterable[_In], work: Callable[[_In], _Out], at_once: int = 32) -> list[_Out]:
    """Return what `work` makes of each item, in their order."""
    name = f"of-each-{next(_calls)}-"
    pool = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix=name)
    try:
        return [future.result() for future in [pool.submit(work, item) for item in items]]
    except BaseException:
        # Whoever interrupts does not want to wait for a silent host.
        pool.shutdown(wait=False, cancel_futures=True)
        # By their name: an interruption comes while work is handed out too, when nobody has its future yet,
        # and even between the start of a thread and the pool's own note of it.
        while any(thread.name.startswith(name) for thread in threading.enumerate()):
            end_commands()
            time.sleep(_LOOK_SECONDS)
        raise
    finally:
        pool.shutdown()
