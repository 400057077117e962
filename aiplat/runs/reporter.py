"""Tells the site of a run while it is made; the run does not wait for that, and never fails with it."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from typing import Self

from aiplat.cluster.run_reports import KEPT, ReportShelf, RunReport
from aiplat.runs.events import Event
from aiplat.runs.history import runs_of
from aiplat.runs.journal import runs_dir
from aiplat.runs.report import RunSoFar, report_of

# People watch: one look a second at the most is live enough, and each is a write to etcd.
_LEAST_SECONDS = 1.0
_HEARTBEAT_SECONDS = 15.0
"""How often the site hears of a run that has no news; pages call it silent after some of these."""
_RETRY_SECONDS = 5.0
_LAST_SECONDS = 3.0
"""How long the end of a run may wait for its last report; Ctrl-C ends only that."""
_EARLIER = 10
"""Runs before this one whose reports are delivered with it."""

log = logging.getLogger("aiplat.runs")


class Reporter:
    """Sees every event of one run and sends what it comes to; `connect` leads to the site's reports.

    Where the site cannot be reached, it is tried again until the run ends; what is still missing then is
    delivered with the next run.
    """

    def __init__(self, site: str, connect: Callable[[], ReportShelf]) -> None:
        self._site, self._connect = site, connect
        self._so_far = RunSoFar(socket.gethostname())
        self._changed = threading.Condition()
        self._news = self._ending = self._caught_up = False
        self._shelf: ReportShelf | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin; nothing is asked before the first event."""
        return self

    def __exit__(self, *_: object) -> None:
        """Have the last report sent, and wait for that a little."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        if self._thread:
            with contextlib.suppress(KeyboardInterrupt):
                self._thread.join(_LAST_SECONDS)

    def see(self, event: Event) -> None:
        """Take in an event; whatever is wrong with that is not the run's trouble."""
        with contextlib.suppress(Exception), self._changed:
            self._so_far.see(event)
            self._news = True
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._tell, name="run-reporter", daemon=True)
                self._thread.start()

    def _tell(self) -> None:
        pause = 0.0
        while True:
            ending = self._wait(pause)
            # A way that died with the run's processes is found again, once.
            sent = self._is_sent() or (ending and self._is_sent())
            if ending:
                return
            pause = _LEAST_SECONDS if sent else _RETRY_SECONDS

    def _is_sent(self) -> bool:
        try:
            self._send()
        except Exception as error:  # a report is worth no run
            log.debug("the site is not told of the run: %s", error)
            self._shelf, self._news = None, True
            return False
        return True

    def _wait(self, pause: float) -> bool:
        """Wait for the pause, then for news or the next heartbeat; return whether the run ended meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._ending, pause)
            self._changed.wait_for(lambda: self._ending or self._news, _HEARTBEAT_SECONDS)
            return self._ending

    def _send(self) -> None:
        if self._shelf is None:
            self._shelf = self._connect()
        with self._changed:
            report, self._news = self._so_far.report(), False
        self._shelf.put(report)
        if not self._caught_up:
            self._catch_up(self._shelf, report)
            self._caught_up = True

    def _catch_up(self, shelf: ReportShelf, current: RunReport) -> None:
        """Deliver what earlier runs could not, and have the oldest forgotten."""
        over = {kept.report.id: kept.report.over for kept in shelf.listed()}
        own = [record for record in runs_of(self._site)[:_EARLIER] if record.id != current.id]
        kept = set(sorted({*over, *(record.id for record in own)}, reverse=True)[:KEPT])
        for record in own:
            if record.id in kept and not over.get(record.id):
                shelf.put(report_of(record, runs_dir(self._site) / record.id))
        for run in over.keys() - kept - {current.id}:
            shelf.drop(run)
