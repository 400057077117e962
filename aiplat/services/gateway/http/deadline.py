"""A time within which something must be done; asyncio's own timeout costs a request several times as much."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self, cast


class Deadline:
    """Ends what its task awaits in the block after `seconds`, as `asyncio.timeout` does.

    Raises:
        TimeoutError: at the block's end, when they have passed.
    """

    __slots__ = ("_asked", "_passed", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed = False

    def __enter__(self) -> Self:
        """Begin to wait."""
        # A request is always answered in a task.
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._asked = self._task.cancelling()
        self._timer = self._task.get_loop().call_later(self._seconds, self._end)
        return self

    def _end(self) -> None:
        self._passed = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait no longer; a cancellation by somebody else stays one."""
        self._timer.cancel()
        if not self._passed:
            return
        nobody_else = self._task.uncancel() <= self._asked
        if nobody_else and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error
