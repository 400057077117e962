"""The journal: what is written can be read back, also after a crash."""

from __future__ import annotations

import json
import multiprocessing
import stat
from multiprocessing.synchronize import Event as Signal

import pytest

from aiplat.errors import AiplatError
from aiplat.runs.events import RunStarted, StepStarted, TaskDone
from aiplat.runs.journal import (
    Journal,
    cut_off_run,
    last_run,
    new_run_id,
    one_run_at_a_time,
    read_events,
    runs_dir,
)
from tests.patience import PATIENCE


def test_events_are_read_back_as_written() -> None:
    """Each event comes back with its time and run."""
    journal = Journal("ward-3", "bootstrap")
    written = [
        journal.append(RunStarted(site="ward-3", verb="bootstrap")),
        journal.append(TaskDone(step="k3s_server", host="s1", task="Start k3s", changed=True)),
    ]
    assert list(read_events(journal.folder)) == written
    assert all(event.time.endswith("Z") and event.run == journal.run_id for event in written)


def test_torn_last_line_is_left_out() -> None:
    """A line cut in half by a crash hides nothing that came before it."""
    journal = Journal("ward-3", "bootstrap")
    kept = journal.append(StepStarted(step="stage"))
    journal.append(StepStarted(step="k3s_server"))
    path = journal.folder / "events.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    assert list(read_events(journal.folder)) == [kept]


def test_events_are_json_lines_with_the_agreed_fields() -> None:
    """Other programs read the file: one object a line with time, run and event."""
    journal = Journal("ward-3", "bootstrap")
    journal.append(TaskDone(step="stage", host="s1", task="x", changed=False))
    (line,) = (journal.folder / "events.jsonl").read_text().splitlines()
    assert set(json.loads(line)) == {"time", "run", "event", "step", "host", "task", "changed", "notes"}


def test_journal_is_private() -> None:
    """Only the operator reads what happened."""
    journal = Journal("ward-3", "bootstrap")
    assert stat.S_IMODE(journal.folder.stat().st_mode) == 0o700
    for name in ("events.jsonl", "run.json"):
        assert stat.S_IMODE((journal.folder / name).stat().st_mode) == 0o600


def test_run_that_ended_was_not_cut_off() -> None:
    """A finished run is history."""
    journal = Journal("ward-3", "bootstrap")
    journal.finish("done")
    assert cut_off_run("ward-3") is None
    record = last_run("ward-3")
    assert record is not None
    assert (record.state, record.verb) == ("done", "bootstrap")


def test_run_that_never_ended_is_found_with_its_step() -> None:
    """The next run says where the last one was cut off."""
    journal = Journal("ward-3", "bootstrap")
    journal.append(StepStarted(step="stage"))
    journal.append(StepStarted(step="k3s_server"))
    found = cut_off_run("ward-3")
    assert found is not None
    assert (found[0].id, found[1]) == (journal.run_id, "k3s_server")


def test_unreadable_record_is_passed_over() -> None:
    """A run.json that a full disk left empty does not stop the next run."""
    done = Journal("ward-3", "bootstrap", "20260101T000000Z-000000")
    done.finish("done")
    folder = runs_dir("ward-3") / "20260102T000000Z-000000"
    folder.mkdir()
    (folder / "run.json").write_text("")
    record = last_run("ward-3")
    assert record is not None
    assert record.id == done.run_id


def test_run_ids_differ_and_name_the_time() -> None:
    """Ids sort by time."""
    first, second = new_run_id(), new_run_id()
    assert first != second
    assert first[8] == "T"


def test_second_run_of_a_site_is_refused_by_name() -> None:
    """While a run holds the site, another names it and does not start."""
    held, done = multiprocessing.Event(), multiprocessing.Event()
    other = multiprocessing.Process(target=_hold, args=(held, done))
    other.start()
    assert held.wait(PATIENCE)
    try:
        with (
            pytest.raises(AiplatError, match=r"run .* \(bootstrap, process \d+\) is at work"),
            one_run_at_a_time("ward-3"),
        ):
            pass
    finally:
        done.set()
        other.join()
    with one_run_at_a_time("ward-3"):
        pass


def _hold(held: Signal, done: Signal) -> None:
    with one_run_at_a_time("ward-3"):
        Journal("ward-3", "bootstrap")
        held.set()
        done.wait(PATIENCE)
