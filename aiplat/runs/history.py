"""Looks at runs that others make or made: lists them, follows a journal, asks whether it is still written."""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from aiplat.content import parsed_json
from aiplat.moments import moment_of
from aiplat.runs.journal import RunRecord, read_record, runs_dir

RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
"""What the id of a run looks like; nothing else may become the name of a folder."""

# Process start times count from boot in hundredths of a second, a run's record is written soon after.
_TOLERANCE_SECONDS = 2.0


def runs_of(site: str) -> list[RunRecord]:
    """Return the runs of a site, newest first."""
    folders = sorted(runs_dir(site).iterdir(), reverse=True)
    return [record for folder in folders if (record := read_record(folder))]


def find_run(site: str, run_id: str) -> RunRecord | None:
    """Return one run of a site, or None."""
    return read_record(runs_dir(site) / run_id) if RUN_ID.fullmatch(run_id) else None


def is_at_work(record: RunRecord) -> bool:
    """Whether somebody still writes the run's journal; a run of another machine is believed."""
    if record.state != "running":
        return False
    return record.host != socket.gethostname() or _is_runner(record)


def _is_runner(record: RunRecord) -> bool:
    """Whether the runner's process is alive, and not another one that got its number later."""
    try:
        stat = Path(f"/proc/{record.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    began = _booted() + int(stat[19]) / os.sysconf("SC_CLK_TCK")
    started = moment_of(record.started).timestamp()
    # A clock that was put right since makes a process look younger than it is: then its names decide.
    return stat[0] != "Z" and (began <= started + _TOLERANCE_SECONDS or _is_named(record.id))


def _booted() -> float:
    """Return when the machine started, in seconds since 1970 by the clock as it is now."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _is_named(run_id: str) -> bool:
    """Whether a process has the run's id among its arguments, as a run's watchdog does while it continues."""
    wanted = run_id.encode()
    return any(wanted in _arguments(pid) for pid in os.listdir("/proc") if pid.isdigit())  # noqa: PTH208


def _arguments(pid: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


@dataclass(frozen=True)
class Line:
    """One event as it stands in the journal; lines count from 1 and keep their number for good."""

    number: int
    event: str
    text: str


class Tail:
    """Reads a run's journal on from where it stopped the last time."""

    def __init__(self, folder: Path, after: int = 0) -> None:
        self._path = folder / "events.jsonl"
        self._after = after
        self._number = 0
        self._offset = 0

    def read(self) -> list[Line]:
        """Return the whole lines behind number `after` that were written since the last call.

        A last line that is not whole yet, or was torn by a crash, is left out.
        """
        try:
            with self._path.open("rb") as journal:
                journal.seek(self._offset)
                written = journal.read()
        except FileNotFoundError:
            return []
        whole = written[: written.rfind(b"\n") + 1]
        self._offset += len(whole)
        numbered = enumerate(whole.splitlines(), start=self._number + 1)
        lines = [Line(number, _event_of(raw), raw.decode(errors="replace")) for number, raw in numbered]
        self._number += len(lines)
        return [line for line in lines if line.number > self._after]


def _event_of(raw: bytes) -> str:
    try:
        return str(parsed_json(raw)["event"])
    except (ValueError, KeyError, TypeError):
        return "damaged"
