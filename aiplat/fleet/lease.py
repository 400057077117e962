"""Holds a run's lock on its hosts by heartbeats, or names who holds it; what a run does is not here."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from aiplat.errors import AiplatError, Finding
from aiplat.fleet.sentences import own_name
from aiplat.fleet.ssh_config import control_socket
from aiplat.fleet.stream import Stream
from aiplat.frozen import Frozen
from aiplat.site.models import Host, Site

HEARTBEAT_SECONDS = 10.0
# A keeper without heartbeats gives the lock up after this many seconds.
SILENCE_SECONDS = 30


class Holder(Frozen):
    """Who holds a host's lock, by what is in it; a lock that was just taken says nothing yet."""

    model_config = ConfigDict(extra="ignore")

    run: str = "?"
    user: str = "?"
    host: str = "?"
    machine: str = ""
    pid: int = 0
    started: str = ""
    age: float = 0


class _Taken(Frozen):
    """The answer to who wants a lock: it is held now, or by whom it is."""

    held: bool = False
    holder: Holder = Holder()


class _Released(Frozen):
    """The answer to who gives a lock back: how many processes of the run were ended."""

    ended: int


class LeaseError(AiplatError):
    """Another mutating run holds a host."""


class Lease:
    """A held lock on some hosts; it ends with `hold_lease`'s block or with this process."""

    def __init__(self, streams: Sequence[Stream], run_id: str = "", reboots: Collection[str] = ()) -> None:
        self._streams = list(streams)
        self._run_id = run_id
        self._reboots = frozenset(reboots)
        self._stop = threading.Event()
        self._beats = threading.Thread(target=self._beat, daemon=True, name="lease heartbeats")
        self._beats.start()

    def release(self) -> None:
        """Give the lock back on every host; what the run left running there is ended first."""
        self._stop.set()
        self._beats.join()
        with ThreadPoolExecutor(max_workers=max(1, len(self._streams))) as pool:
            list(pool.map(_release, self._streams))

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            for position, stream in enumerate(self._streams):
                try:
                    stream.send(b"\n")
                except AiplatError:
                    self._take_again(position, stream)

    def _take_again(self, position: int, stream: Stream) -> None:
        """Take the lock of a host again that reboots in this run, as soon as it is back."""
        if stream.host.name not in self._reboots:
            return
        with contextlib.suppress(AiplatError):
            self._streams[position] = _take(stream.site, stream.host, self._run_id)


@contextlib.contextmanager
def hold_lease(
    site: Site, run_id: str, hosts: Sequence[str] | None = None, *, reboots: Collection[str] = ()
) -> Iterator[Lease]:
    """Hold the run's lock on hosts (all of the site if None) while the block runs.

    The connections that hold it are also those that Ansible uses: without the lock it reaches nobody.
    The lock of a host that `reboots` in this run is taken again when the host is back; no other's is.

    Raises:
        LeaseError: another run holds a host; one finding per host names the holder.
        HostError: a host could not be reached.
    """
    chosen = [host for host in site.hosts if hosts is None or host.name in hosts]
    taken: list[Stream] = []
    refusals: list[AiplatError] = []

    def take(host: Host) -> None:
        try:
            taken.append(_take(site, host, run_id))
        except AiplatError as error:
            refusals.append(error)

    with ThreadPoolExecutor(max_workers=max(1, len(chosen))) as pool:
        list(pool.map(take, chosen))
    lease = Lease(taken, run_id, reboots)
    try:
        if refusals:
            raise type(refusals[0])([finding for refusal in refusals for finding in refusal.findings])
        yield lease
    finally:
        lease.release()


def this_process() -> dict[str, Any]:
    """Return what names the running process beyond doubt: machine, pid and start time."""
    return {
        "host": socket.gethostname(),
        "user": own_name(),
        "machine": _machine(),
        "pid": os.getpid(),
        "started": started(os.getpid()),
    }


def started(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def is_dead(holder: Holder) -> bool:
    """Say whether a lock's holder is known to be gone: a process of this machine that is no more."""
    here = bool(_machine()) and holder.machine == _machine()
    return here and started(holder.pid) != holder.started


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _take(site: Site, host: Host, run_id: str) -> Stream:
    holder = _try(site, host, run_id)
    if isinstance(holder, Holder) and is_dead(holder):
        holder = _try(site, host, run_id, holder.run)
    if isinstance(holder, Stream):
        return holder
    raise LeaseError(_refusal(host, holder))


def _try(site: Site, host: Host, run_id: str, dead: str = "") -> Stream | Holder:
    socket_path = str(control_socket(site, host, run_id))
    settings = {"ControlMaster": "yes", "ControlPersist": "no", "ControlPath": socket_path}
    document = json.dumps({"run": run_id, **this_process()})
    stream = Stream(site, host, ["hold_lease.py", document, dead], settings=settings)
    try:
        reply = stream.hear(_Taken)
    except BaseException:
        stream.close()
        raise
    if reply.held:
        return stream
    stream.close()
    return reply.holder


def _refusal(host: Host, holder: Holder) -> Finding:
    who = f"{holder.user}@{holder.host}, process {holder.pid or '?'}"
    problem = f"is being changed by run {holder.run} ({who}; last heartbeat {holder.age:.0f} s ago)"
    fix = f"wait until it ends; a dead run's lock falls after {SILENCE_SECONDS} s"
    return Finding(host.name, problem, fix)


def _release(stream: Stream) -> None:
    with contextlib.suppress(AiplatError):
        stream.send(b"release\n")
        stream.hear(_Released)
    stream.close()
