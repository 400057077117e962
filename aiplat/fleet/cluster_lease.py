"""Holds a run's lease on a cluster that aiplat did not make by renewing it, or names who holds it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from aiplat.cluster.run_lease import LeaseUnseen, RunLease, SeenLease
from aiplat.errors import BadInput, Finding
from aiplat.fleet.lease import HEARTBEAT_SECONDS, SILENCE_SECONDS, Holder, LeaseError, is_dead, this_process

# Whoever cannot renew it stops before another may take it.
_GIVE_UP_SECONDS = SILENCE_SECONDS - HEARTBEAT_SECONDS
FIX = f"wait until it ends; a dead run's lease falls after {SILENCE_SECONDS} s"


class _Held:
    """A held lease, renewed until it is let go; `lost` says why it is not held any more."""

    def __init__(self, lease: RunLease, seen: SeenLease, on_lost: Callable[[], object]) -> None:
        self._lease, self._seen, self._on_lost = lease, seen, on_lost
        self.lost = ""
        self._stop = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True, name="cluster lease")
        self._beats.start()

    def let_go(self) -> None:
        """Renew it no more, and remove it if it is still held."""
        self._stop.set()
        self._beats.join()
        if not self.lost:
            # What cannot be removed falls by itself.
            with contextlib.suppress(LeaseUnseen):
                self._lease.delete(self._seen)

    def _beat(self) -> None:
        renewed = time.monotonic()
        while not self.lost and not self._stop.wait(HEARTBEAT_SECONDS / 2):
            try:
                self._renew()
                renewed = time.monotonic()
            except LeaseUnseen as error:
                if time.monotonic() - renewed > _GIVE_UP_SECONDS:
                    self.lost = error.findings[0].problem
                # Without it the connection stays as it was.
                with contextlib.suppress(BadInput):
                    self._lease.connect()
        if self.lost:
            self._on_lost()

    def _renew(self) -> None:
        seen = self._lease.replace(self._seen, self._seen.holder, SILENCE_SECONDS)
        if seen is not None:
            self._seen = seen
            return
        now = self._lease.read()
        if now is not None and now.holder == self._seen.holder:
            self._seen = now  # an answer was lost, not the lease
        else:
            self.lost = f"it {held_by(now)}" if now else "somebody removed it"


@contextlib.contextmanager
def hold_cluster(kubeconfig: Path, where: str, run_id: str, on_lost: Callable[[], object]) -> Iterator[None]:
    """Hold the run's lease on a cluster while the block runs; it falls by itself where this process dies.

    `where` is the cluster's name in findings; `on_lost` ends what the run has started, and is called once
    another may take the lease.

    Raises:
        LeaseError: another run holds it, or it was lost meanwhile.
        LeaseUnseen: the cluster does not say who holds it, or takes no lease.
    """
    lease = RunLease(kubeconfig)
    held = _Held(lease, _take(lease, where, run_id), on_lost)
    try:
        yield
    except BaseException as error:
        held.let_go()
        if held.lost and not isinstance(error, KeyboardInterrupt):
            raise _lost(where, held.lost) from error
        raise
    held.let_go()
    if held.lost:
        raise _lost(where, held.lost)


def other_run(kubeconfig: Path) -> str:
    """Return who changes a cluster now, as a phrase; empty where nobody else does, or it is not said."""
    try:
        seen = RunLease(kubeconfig).read()
    except LeaseUnseen:
        return ""
    return "" if seen is None or _is_free(seen) or _is_mine(seen) else held_by(seen)


def held_by(seen: SeenLease) -> str:
    """Return who holds a lease and until when, as a phrase that follows the cluster's name."""
    holder = _holder(seen)
    who = f"{holder.user}@{holder.host}, process {holder.pid or '?'}"
    until = f"its lease falls at {seen.until:%H:%M:%S} UTC unless it is renewed"
    return f"is being changed by run {holder.run} ({who}; {until})"


def _take(lease: RunLease, where: str, run_id: str) -> SeenLease:
    mine, seen = json.dumps({"run": run_id, **this_process()}), lease.read()
    if seen is None:
        taken = lease.create(mine, SILENCE_SECONDS)
    else:
        taken = lease.replace(seen, mine, SILENCE_SECONDS) if _is_free(seen) else None
    if taken is not None:
        return taken
    now = lease.read() or seen
    said = held_by(now) if now else "is being changed by another run"
    raise LeaseError(Finding(where, said, FIX))


def _is_free(seen: SeenLease) -> bool:
    return seen.fallen or is_dead(_holder(seen))


def _is_mine(seen: SeenLease) -> bool:
    mine, holder = this_process(), _holder(seen)
    return (holder.machine, holder.pid, holder.started) == (mine["machine"], mine["pid"], mine["started"])


def _holder(seen: SeenLease) -> Holder:
    try:
        return Holder.model_validate_json(seen.holder)
    except ValidationError:
        return Holder()


def _lost(where: str, why: str) -> LeaseError:
    fix = "see what the other run did, then run it again: it continues"
    return LeaseError(Finding(where, f"the run's lease on it was lost, so it was stopped: {why}", fix))
