"""Runs the steps of making a lab one by one, tells their progress and counts those that changed something."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from aiplat.lab.driver import LabEvent, OnEvent


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
