"""Looking at runs from outside: which there are, whether one is at work, and its journal as it grows."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiplat.runs.events import RunFinished, RunStarted, StepStarted
from aiplat.runs.history import Tail, find_run, is_at_work, runs_of
from aiplat.runs.journal import Journal, RunRecord, runs_dir
from aiplat.runs.watchdog import dies_with_this_process

SITE = "ward-3"


@pytest.fixture
def sleeper() -> subprocess.Popen[bytes]:
    """A process that could be a runner."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def record(pid: int, *, started: datetime | None = None, host: str | None = None) -> RunRecord:
    """Return the record of a run that says it is going on."""
    at = (started or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    where = host or socket.gethostname()
    return RunRecord(
        id="20260102T030405Z-0a1b2c",
        site=SITE,
        verb="bootstrap",
        state="running",
        started=at,
        host=where,
        pid=pid,
    )


def test_runs_are_listed_newest_first_and_found_by_id() -> None:
    """A folder without a record is not a run, and a path is not an id."""
    for name in ("20260102T030405Z-aaaaaa", "20260103T030405Z-bbbbbb"):
        Journal(SITE, "bootstrap", name).finish("done")
    (runs_dir(SITE) / "20260104T030405Z-cccccc").mkdir()
    assert [r.id for r in runs_of(SITE)] == ["20260103T030405Z-bbbbbb", "20260102T030405Z-aaaaaa"]
    assert find_run(SITE, "20260104T030405Z-cccccc") is None
    assert find_run(SITE, "../runs/20260102T030405Z-aaaaaa") is None


def test_a_run_whose_process_lives_is_at_work(sleeper: subprocess.Popen[bytes]) -> None:
    """Until it says that it is over, or its process is gone."""
    going_on = record(sleeper.pid)
    assert is_at_work(going_on)
    assert not is_at_work(going_on.model_copy(update={"state": "done"}))
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not is_at_work(going_on), "a process that nobody waited for yet is dead all the same"


def test_a_number_that_went_to_another_process_is_no_run(sleeper: subprocess.Popen[bytes]) -> None:
    """The process is younger than the run."""
    assert not is_at_work(record(sleeper.pid, started=datetime.now(UTC) - timedelta(hours=1)))


def test_a_clock_that_was_put_right_ends_no_run(sleeper: subprocess.Popen[bytes]) -> None:
    """A run that seems older than its process is at work while its watchdog is there."""
    long_ago = record(sleeper.pid, started=datetime.now(UTC) - timedelta(hours=1))
    with dies_with_this_process(long_ago.id, Path("/nonexistent")):
        assert is_at_work(long_ago)
    assert not is_at_work(long_ago)


def test_a_run_of_another_machine_is_believed() -> None:
    """Its processes cannot be seen from here."""
    assert is_at_work(record(1, host="elsewhere"))


def test_a_journal_is_read_on_from_where_it_was(tmp_path: Path) -> None:
    """Each line comes once and keeps its number; what is not whole yet waits."""
    journal = Journal(SITE, "bootstrap")
    tail, late = Tail(journal.folder), Tail(journal.folder, after=1)
    assert tail.read() == []
    journal.append(RunStarted(site=SITE, verb="bootstrap"))
    journal.append(StepStarted(step="stage"))
    assert [(line.number, line.event) for line in tail.read()] == [(1, "run_started"), (2, "step_started")]
    with (journal.folder / "events.jsonl").open("ab") as torn:
        torn.write(b'{"event": "ta')
    assert tail.read() == []
    with (journal.folder / "events.jsonl").open("ab") as rest:
        rest.write(b'sk"}\n')
    journal.append(RunFinished(state="done"))
    assert [(line.number, line.event) for line in tail.read()] == [(3, "task"), (4, "run_finished")]
    assert [line.number for line in late.read()] == [2, 3, 4]
    assert Tail(tmp_path / "nowhere").read() == []


@pytest.mark.parametrize(
    "damage",
    [
        {"started": "yesterday"},
        {"started": "2026-01-02T03:04:05"},
        {"state": "failed", "finished": "soon"},
        {"pid": "x"},
        None,
    ],
    ids=["no time", "a time without its zone", "no time of its end", "no number", "nested too deeply"],
)
def test_a_run_whose_record_is_damaged_hides_no_other(damage: dict[str, str] | None) -> None:
    """Whatever is in its record, the others are listed and the next one can begin."""
    for name in ("20260102T030405Z-aaaaaa", "20260103T030405Z-bbbbbb"):
        Journal(SITE, "bootstrap", name).finish("done")
    damaged = runs_dir(SITE) / "20260103T030405Z-bbbbbb" / "run.json"
    whole = json.loads(damaged.read_text())
    damaged.write_text("[" * 200_000 if damage is None else json.dumps(whole | damage))
    assert [run.id for run in runs_of(SITE)] == ["20260102T030405Z-aaaaaa"]
    assert find_run(SITE, "20260103T030405Z-bbbbbb") is None


def test_a_damaged_line_is_passed_over() -> None:
    """It keeps its number, so that the ones behind it keep theirs."""
    journal = Journal(SITE, "bootstrap")
    (journal.folder / "events.jsonl").write_bytes(b"\xff\n[]\n")
    journal.append(RunFinished(state="done"))
    assert [line.event for line in Tail(journal.folder).read()] == ["damaged", "damaged", "run_finished"]
