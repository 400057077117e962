"""Holds a run's lock on a host while the runner's heartbeats come, then ends what the run left running.

Runs on the host alone (Python 3.9+, standard library). The lock is the kernel's, on an open file: it is
free as soon as nobody holds it, however its holder ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

SILENCE_SECONDS = 30.0
GRACE_SECONDS = 3.0
EVICT_SECONDS = 10.0
LOCK = Path("/var/lib/aiplat/lock")
# Where what runs on the host keeps its temporary files; gone with the run, also with one that was killed.
SCRATCH = Path("/run/aiplat")


def tell(document: dict[str, Any]) -> None:
    """Send one JSON line to the operator's side, which may be gone."""
    try:
        os.write(1, json.dumps(document).encode() + b"\n")
    except OSError:
        return


def try_lock(path: Path) -> int | None:
    """Return the open, locked file, or nothing while somebody holds it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue  # the last holder removed the folder in between
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        # The file that was locked may have been removed by its last holder in between.
        if path.exists() and os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
        os.close(handle)


def holder(path: Path) -> dict[str, Any]:
    """Return what the lock says about its holder; nothing where it says nothing yet."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found


def write_holder(handle: int, document: dict[str, Any]) -> None:
    """Write who holds the lock and when the last heartbeat came, by this host's clock."""
    data = json.dumps({**document, "keeper": os.getpid(), "heartbeat": time.time()}).encode() + b"\n"
    os.pwrite(handle, data, 0)
    os.ftruncate(handle, len(data))


def evict(path: Path, run: str) -> int | None:
    """Take the lock from a run whose runner is known to be dead: its keeper is asked to end it."""
    keeper = holder(path)
    if keeper.get("run") == run:
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper["keeper"], signal.SIGTERM)
    deadline = time.monotonic() + EVICT_SECONDS
    while time.monotonic() < deadline:
        handle = try_lock(path)
        if handle is not None:
            return handle
        time.sleep(0.1)
    return None


def processes_of(run: str) -> list[int]:
    """Return the processes on this host that carry the run's id in their environment."""
    wanted = f"AIPLAT_RUN_ID={run}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0"):
            found.append(int(entry.name))
    return found


def end_processes(run: str, grace: float) -> int:
    """End all processes of a run, asked first, killed after `grace` seconds; return their number."""
    first = processes_of(run)
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + grace
        left = processes_of(run)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        while left and time.monotonic() < deadline:
            time.sleep(0.05)
            left = processes_of(run)
    return len(first)


def keep(handle: int, document: dict[str, Any], silence: float) -> str:
    """Hold the lock until the runner says so, goes away or is silent; return which of these it was."""
    while True:
        write_holder(handle, document)
        readable, _, _ = select.select([0], [], [], silence)
        if not readable:
            return "silent"
        data = os.read(0, 4096)
        if not data:
            return "gone"
        if b"release" in data:
            return "released"


def stop(_number: int, _frame: object) -> None:
    """Leave `keep` as if the runner were gone."""
    raise InterruptedError


def hold(handle: int, path: Path, document: dict[str, Any], silence: float) -> None:
    """Hold the lock; then end what the run left running here and only then give the lock back."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    scratch = Path(os.environ.get("AIPLAT_SCRATCH", str(SCRATCH)))
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700, parents=True)
        write_holder(handle, document)
        tell({"held": True})
        keep(handle, document, silence)
    except InterruptedError:
        pass
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        ended = end_processes(document["run"], GRACE_SECONDS)
        shutil.rmtree(scratch, ignore_errors=True)
        path.unlink(missing_ok=True)
        # After a reset nothing else of aiplat is left there.
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        tell({"ended": ended})


def main() -> None:
    """Hold the lock for {"run", "host", "user", "pid", …} (argv[2]); argv[3] names a dead run to evict."""
    document: dict[str, Any] = json.loads(sys.argv[2])
    dead = sys.argv[3] if len(sys.argv) > 3 else ""
    path = Path(os.environ.get("AIPLAT_LOCK", str(LOCK)))
    handle = try_lock(path)
    if handle is None and dead:
        handle = evict(path, dead)
    found = holder(path)
    if handle is None:
        tell({"holder": {**found, "age": time.time() - found.get("heartbeat", time.time())}})
        return
    if found.get("run"):
        # Its keeper was killed too: what that run left running is ended before a new one starts.
        end_processes(found["run"], GRACE_SECONDS)
    hold(handle, path, document, float(os.environ.get("AIPLAT_SILENCE", SILENCE_SECONDS)))


if __name__ == "__main__":
    main()
