"""Runs the steps of making a lab, for one host or many at once; tells their progress, counts changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import TypeVar

from aiplat.errors import AiplatError, Finding
from aiplat.lab.driver import LabEvent, OnEvent

_T = TypeVar("_T")
_AT_ONCE = 16


class Steps:
    """Tells `on_event` of each step's start and end; `changed` counts the steps that had something to do."""

    def __init__(self, on_event: OnEvent) -> None:
        self.on_event = on_event
        self.changed = 0
        self._lock = Lock()

    def run(self, step: str, text: str, work: Callable[[], bool], host: str = "") -> None:
        """Do one step; `work` returns whether it changed anything. Safe to call from several threads."""
        self._tell(LabEvent("step_started", step, host, text))
        changed = work()
        with self._lock:
            self.changed += changed
        self._tell(LabEvent("step_finished", step, host, text, changed=changed))

    def _tell(self, event: LabEvent) -> None:
        with self._lock:
            self.on_event(event)


def in_parallel(work: Callable[[_T], None], items: Sequence[_T], given_up: Event) -> None:
    """Do `work` for all `items` at once; `given_up` is set when the caller is interrupted, to end long waits.

    Raises:
        AiplatError: with the findings of every item that failed.
    """
    findings: list[Finding] = []
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        try:
            for future in [pool.submit(work, item) for item in items]:
                try:
                    future.result()
                except AiplatError as error:
                    findings.extend(error.findings)
        except BaseException:
            given_up.set()
            raise
    if findings:
        raise AiplatError(findings)
