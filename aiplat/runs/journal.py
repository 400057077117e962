"""A run's journal on the operator's machine, written and read back; what steps do is not known here."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from aiplat.content import write_atomic
from aiplat.errors import AiplatError, Finding
from aiplat.moments import moment_of
from aiplat.runs.events import EVENT, Event, Progress, State, StepStarted
from aiplat.state import private_dir, site_dir


def _moment(text: str) -> str:
    moment_of(text, zoned=True)
    return text


Moment = Annotated[str, AfterValidator(_moment)]
"""A time as it stands in a file: a text that says one, with its zone."""


class RunRecord(BaseModel):
    """runs/<id>/run.json: which run this is and how it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Run"] = "Run"
    id: str
    site: str
    verb: str
    state: State
    started: Moment
    finished: Moment | None = None
    host: str
    pid: int


def now() -> str:
    """Return the time as in events: UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_run_id() -> str:
    """Return an id that sorts by time and is never given twice."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def runs_dir(site: str) -> Path:
    """Return the folder of a site's runs."""
    return private_dir(site_dir(site) / "runs")


class Journal:
    """Appends the events of one run; each is on disk before the next begins."""

    def __init__(self, site: str, verb: str, run_id: str | None = None) -> None:
        self.run_id = run_id or new_run_id()
        self.folder = private_dir(runs_dir(site) / self.run_id)
        # Transfers report from threads of their own.
        self._writing = threading.Lock()
        self._events: IO[bytes] = _open_private(self.folder / "events.jsonl")
        self.record = RunRecord(
            id=self.run_id,
            site=site,
            verb=verb,
            state="running",
            started=now(),
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        self._write_record()

    def append(self, event: Event) -> Event:
        """Write an event down and return it with its time and run filled in."""
        stamped = event.model_copy(update={"time": now(), "run": self.run_id})
        with self._writing:
            self._events.write(stamped.model_dump_json().encode() + b"\n")
            self._events.flush()
            # Progress may be lost in a crash without anybody missing it, and it comes many times a second.
            if not isinstance(event, Progress):
                os.fsync(self._events.fileno())
        return stamped

    def finish(self, state: State) -> None:
        """Close the journal; the run is over."""
        self.record = self.record.model_copy(update={"state": state, "finished": now()})
        self._write_record()
        self._events.close()

    def _write_record(self) -> None:
        document = self.record.model_dump_json(by_alias=True).encode() + b"\n"
        write_atomic(self.folder / "run.json", document, 0o600)


def read_events(folder: Path) -> Iterator[Event]:
    """Yield the events of a run; a last line torn by a crash is left out."""
    path = folder / "events.jsonl"
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            yield EVENT.validate_json(line)
        except ValidationError:
            return


def last_run(site: str) -> RunRecord | None:
    """Return the newest run of a site, or None."""
    for folder in sorted(runs_dir(site).iterdir(), reverse=True):
        record = read_record(folder)
        if record:
            return record
    return None


def cut_off_run(site: str) -> tuple[RunRecord, str | None] | None:
    """Return the newest run and the step it was at, if it ended without saying so; else None.

    Call while holding `one_run_at_a_time`: then nobody is writing it any more.
    """
    record = last_run(site)
    if record is None or record.state != "running":
        return None
    steps = [e.step for e in read_events(runs_dir(site) / record.id) if isinstance(e, StepStarted)]
    return record, steps[-1] if steps else None


@contextmanager
def one_run_at_a_time(site: str) -> Iterator[None]:
    """Hold this machine's lock on a site's runs; it goes with the process.

    Raises:
        AiplatError: another run of this site is at work here.
    """
    with _open_private(site_dir(site) / "run.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AiplatError(_held_by(site)) from error
        yield


def _held_by(site: str) -> Finding:
    record = last_run(site)
    who = f"run {record.id} ({record.verb}, process {record.pid})" if record else "another run"
    return Finding(f"site {site}", f"{who} is at work on this machine", "wait until it ends, or end it")


def read_record(folder: Path) -> RunRecord | None:
    """Return the run whose folder this is, or None where no whole record lies in it."""
    try:
        return RunRecord.model_validate_json((folder / "run.json").read_bytes())
    except (OSError, ValueError):
        return None


def _open_private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "wb")
