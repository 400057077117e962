"""Turns Ctrl-C and SIGTERM into a clean stop; what is cleaned up belongs to whoever is stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from aiplat.runs.watchdog import end_processes_of


class StopRequest:
    """Whether the user asked to stop. The first signal stops at the next safe point, the second at once.

    Inside `at_any_point` the first signal ends what the run started and raises KeyboardInterrupt; before
    and after it, and inside `at_safe_points`, it is only noted.
    """

    def __init__(self, run_id: str) -> None:
        self.requested = False
        self._run_id = run_id
        self._deferred = True

    def __call__(self) -> bool:
        """Return `requested`: the form that pollers want."""
        return self.requested

    @contextmanager
    def at_any_point(self) -> Iterator[None]:
        """Let a signal stop the block wherever it is; one that came before does so at its beginning."""
        self._deferred = False
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._deferred = True

    @contextmanager
    def at_safe_points(self) -> Iterator[None]:
        """Let the first signal wait until the block polls; KeyboardInterrupt follows when the block ends."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.requested:
            raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        first, self.requested = not self.requested, True
        if first and self._deferred:
            return
        # Threads that wait for what they started would hold the main thread until it is done by itself.
        end_processes_of(self._run_id)
        raise KeyboardInterrupt


@contextmanager
def stoppable(run_id: str) -> Iterator[StopRequest]:
    """Answer SIGINT and SIGTERM by a StopRequest for a run inside the block (main thread only)."""
    request = StopRequest(run_id)
    before = {number: signal.signal(number, request._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
