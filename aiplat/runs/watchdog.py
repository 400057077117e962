"""Ends everything a run started once the runner is gone, killed or not; knows nothing of what a run does.

Run as a program of its own (standard library only) it waits for the end of its standard input, which
comes when the runner closes it or dies, and then ends every process that carries the run's id.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

RUN_ID = "AIPLAT_RUN_ID"
# A process asked to end gets this long before it is killed.
_GRACE_SECONDS = 3.0
# Enough for processes that start others while they are ended; not for ever on one that the kernel holds.
_ROUNDS = 10


def processes_of(run_id: str) -> list[int]:
    """Return the pids of all processes that were started with the run's id in their environment."""
    wanted = f"{RUN_ID}={run_id}".encode()
    return [pid for pid in _pids() if pid != os.getpid() and wanted in _environment(pid)]


def end_processes_of(run_id: str, spare: int = 0) -> int:
    """End every process of a run except the one with pid `spare`, and return how many there were.

    Asked first, killed after three seconds; repeated, since they may start others.
    """
    ended: set[int] = set()
    for _ in range(_ROUNDS):
        found = [pid for pid in processes_of(run_id) if pid != spare]
        if not found:
            break
        ended.update(found)
        _end(found)
    return len(ended)


@contextlib.contextmanager
def dies_with_this_process(run_id: str, private: Path) -> Iterator[None]:
    """Put the run's id into the environment: what is started inside ends with the block or this process.

    The folder `private` is removed then too: it may hold secrets.

    Raises:
        OSError: what watches over this process could not be started.
    """
    watchdog = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(__file__).resolve()), run_id, str(os.getpid()), str(private)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    # A process that was only just started shows the kernel no arguments yet, and signals still end it.
    if watchdog.stdout is None or not watchdog.stdout.read(1):
        watchdog.communicate()
        raise OSError(f"the watchdog of the run ended at once with {watchdog.returncode}")
    before = os.environ.get(RUN_ID)
    os.environ[RUN_ID] = run_id
    try:
        yield
    finally:
        if before is None:
            del os.environ[RUN_ID]
        else:
            os.environ[RUN_ID] = before
        watchdog.communicate()


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 - no Path per process


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _end(pids: list[int]) -> None:
    handles = [handle for pid in pids if (handle := _handle(pid)) is not None]
    for handle in handles:
        _signal(handle, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    waiting = set(handles)
    while waiting and (left := deadline - time.monotonic()) > 0:
        gone, _, _ = select.select(list(waiting), [], [], left)
        waiting.difference_update(gone)
    for handle in waiting:
        _signal(handle, signal.SIGKILL)
    if waiting:
        select.select(list(waiting), [], [], _GRACE_SECONDS)
    for handle in handles:
        os.close(handle)


def _handle(pid: int) -> int | None:
    # A pidfd names the process itself: a pid could be somebody else's by the time of the signal.
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _signal(handle: int, number: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        signal.pidfd_send_signal(handle, number)


def _main(run_id: str, runner: int, private: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.write(1, b"\n")
    while os.read(0, 4096):
        continue
    end_processes_of(run_id, spare=runner)
    shutil.rmtree(private, ignore_errors=True)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
