"""What a run starts ends with it, however the runner ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aiplat.runs.events import Event, RunStarted
from aiplat.runs.journal import last_run, read_events, runs_dir
from aiplat.runs.run import StoppedError, running
from aiplat.runs.watchdog import RUN_ID, end_processes_of, processes_of

ROOT = Path(__file__).parents[2]


class Started:
    """A runner that is at work, the id of its run and its folder of secrets."""

    def __init__(self) -> None:
        argv = [sys.executable, "-m", "tests.runs.runner"]
        self.process = subprocess.Popen(
            argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.run_id, folder = self.process.stdout.readline().split()
        self.secrets = Path(folder)
        self.started = [os.pidfd_open(pid) for pid in processes_of(self.run_id)]

    def all_gone(self) -> bool:
        """Wait for the end of everything the run started."""
        return all(_ended(handle) for handle in self.started) and not processes_of(self.run_id)


@pytest.fixture
def runner() -> Iterator[Started]:
    """A runner with a child, a shell between them, and a grandchild that ignores SIGTERM."""
    started = Started()
    assert len(started.started) >= 2
    yield started
    started.process.kill()
    started.process.communicate()
    end_processes_of(started.run_id)
    for handle in started.started:
        os.close(handle)


def test_nothing_survives_a_killed_runner(runner: Started) -> None:
    """After SIGKILL of the runner alone, its children in other sessions and its secrets are gone."""
    runner.process.send_signal(signal.SIGKILL)
    runner.process.wait()
    assert runner.all_gone()
    assert _removed(runner.secrets)


def test_next_run_says_where_the_killed_one_was(runner: Started) -> None:
    """A run that was cut off is named by the next one with the step it was at."""
    runner.process.send_signal(signal.SIGKILL)
    runner.process.wait()
    assert runner.all_gone()
    seen: list[object] = []
    with running("ward-3", "bootstrap", seen.append):
        pass
    first = seen[0]
    assert isinstance(first, RunStarted)
    assert (first.after, first.after_step) == (runner.run_id, "k3s_server")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_signal_ends_the_run_cleanly(runner: Started, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end the run with a journal that says so and a sentence on how to go on."""
    runner.process.send_signal(number)
    _, errors = runner.process.communicate()
    assert runner.all_gone()
    record = last_run("ward-3")
    assert record is not None
    assert record.state == "interrupted"
    assert f"run {runner.run_id}: interrupted during k3s_server" in errors
    assert "the same command continues from what is there" in errors


def test_other_runs_and_the_runner_itself_are_spared() -> None:
    """Only what carries this run's id is ended: not its prefix, not others."""
    # An id of this process alone: the same test may run from another checkout at the same time.
    one = f"one-{os.getpid()}"
    bystander = subprocess.Popen(["sleep", "600"], env={**os.environ, RUN_ID: f"{one}-and-more"})
    meant = subprocess.Popen(["sleep", "600"], env={**os.environ, RUN_ID: one})
    try:
        assert end_processes_of(one) == 1
        assert meant.wait() == -signal.SIGTERM
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_run_that_ends_well_leaves_nothing_either() -> None:
    """A background process that a step left behind, as ssh's masters are, ends with the run."""
    with running("ward-3", "bootstrap", lambda _event: None) as run:
        left = subprocess.Popen(["sleep", "600"], start_new_session=True)
        assert processes_of(run.id) == [left.pid]
    assert left.wait() == -signal.SIGTERM
    assert RUN_ID not in os.environ


def test_failure_is_in_the_journal_and_passed_on() -> None:
    """An exception ends the run as failed and is not swallowed."""
    with (
        pytest.raises(RuntimeError, match="broken"),
        running("ward-3", "bootstrap", lambda _event: None) as run,
    ):
        raise RuntimeError("broken")
    assert list(read_events(runs_dir("ward-3") / run.id))[-1].model_dump()["state"] == "failed"


def test_stop_does_not_wait_for_a_thread_that_waits_for_a_program() -> None:
    """A builder in a thread is ended with what it runs, so that Ctrl-C takes seconds and not minutes."""
    ended: list[int] = []

    def build() -> None:
        ended.append(subprocess.run(["sleep", "600"], check=False).returncode)

    def step() -> None:
        with running("ward-3", "bootstrap", lambda _event: None) as run, ThreadPoolExecutor() as pool:
            pool.submit(build)
            while not processes_of(run.id):
                pass
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError):
        step()
    assert ended == [-signal.SIGTERM]


def test_run_that_is_stopped_as_it_begins_says_so() -> None:
    """Whoever sees the run in the journal can stop it: even then it ends as interrupted."""

    def stop(event: Event) -> None:
        if isinstance(event, RunStarted):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedError), running("ward-3", "bootstrap", stop) as run:
        pytest.fail(f"run {run.id} did not stop")
    record = last_run("ward-3")
    assert record is not None
    assert record.state == "interrupted"


def test_stop_request_waits_for_a_safe_point() -> None:
    """A signal inside code that polls is noted first and raised when that code has ended."""
    reached = []

    def step() -> None:
        with running("ward-3", "bootstrap", lambda _event: None) as run:
            with run.stop.at_safe_points():
                os.kill(os.getpid(), signal.SIGINT)
                reached.append(run.stop())
            reached.append(False)

    with pytest.raises(StoppedError):
        step()
    assert reached == [True]


def _ended(handle: int) -> bool:
    """Wait for a process by its handle (the test's own time limit is the limit)."""
    return bool(select.select([handle], [], [], 60)[0])


def _removed(folder: Path) -> bool:
    """The watchdog removes the folder last: once it has ended, look."""
    for process in [path for path in Path("/proc").iterdir() if path.name.isdigit()]:
        try:
            if str(folder).encode() in (process / "cmdline").read_bytes():
                assert _ended(os.pidfd_open(int(process.name)))
        except OSError:
            continue
    return not folder.exists()
