"""The run's lock on a host: one holder, named to others; what happens when the holder dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiplat.fleet.lease import Holder, LeaseError, hold_lease, is_dead, this_process
from aiplat.fleet.probe import REMOTE
from aiplat.fleet.ssh import HostError
from aiplat.site.models import Site
from tests.patience import PATIENCE, until

LIMIT = PATIENCE
DEAD = {**this_process(), "pid": 2**22 + 1, "started": "1"}


def keeper(
    lock: Path, run: str, *more: str, silence: float = 60, holder: dict[str, Any] | None = None
) -> subprocess.Popen[bytes]:
    """Start the script that holds the lock, as it is started on a host."""
    document = json.dumps({"run": run, **(holder or this_process())})
    return subprocess.Popen(
        [sys.executable, REMOTE / "hold_lease.py", "hold_lease.py", document, *more],
        env={
            **os.environ,
            "AIPLAT_LOCK": str(lock),
            "AIPLAT_SILENCE": str(silence),
            "AIPLAT_SCRATCH": str(lock) + ".scratch",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def heard(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return the next line a keeper says."""
    assert process.stdout
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Collect processes that are ended after the test whatever happened."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait(LIMIT)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()


def of_run(run: str) -> subprocess.Popen[bytes]:
    """Start a process that carries a run's id and would live for a minute."""
    return subprocess.Popen(["sleep", "60"], env={**os.environ, "AIPLAT_RUN_ID": run})


def test_a_lock_is_held_and_given_back(site: Site, host_here: Path) -> None:
    """Inside the block the lock names this process; after it nothing is left."""
    with hold_lease(site, "run-1", ["s1"]):
        holder = json.loads((host_here / "lock").read_text())
        assert (holder["run"], holder["pid"]) == ("run-1", os.getpid())
        assert (host_here / "lock").stat().st_mode & 0o777 == 0o600
    assert not host_here.exists()


def test_a_second_run_is_refused_and_told_who_holds_it(site: Site, host_here: Path) -> None:
    """The refusal names run, user, machine and process, and the lock stays with the first."""
    with hold_lease(site, "run-1", ["s1"]) as lease:
        expected = rf"s1: is being changed by run run-1 \(.*process {os.getpid()}; last heartbeat"
        with pytest.raises(LeaseError, match=expected), hold_lease(site, "run-2", ["s1"]):
            pass
        assert lease._streams[0].process.poll() is None


def test_a_refused_run_gives_back_what_it_took(site: Site, host_here: Path) -> None:
    """Both hosts are this machine here: the second cannot be taken, so the first is let go."""
    with pytest.raises(LeaseError), hold_lease(site, "run-1"):
        pass
    assert not (host_here / "lock").exists()


def test_a_dead_holder_of_this_machine_is_replaced_at_once(
    site: Site, host_here: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """A keeper that still waits for a runner that is gone makes way, and ends what that run left."""
    host_here.mkdir()
    waiting, left = keeper(host_here / "lock", "run-dead", holder=DEAD), of_run("run-dead")
    started += [waiting, left]
    assert heard(waiting) == {"held": True}
    with hold_lease(site, "run-2", ["s1"]):
        assert json.loads((host_here / "lock").read_text())["run"] == "run-2"
        assert left.wait(LIMIT) != 0


def test_a_lock_whose_keeper_was_killed_is_free(
    site: Site, host_here: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """The kernel frees the lock of a killed keeper; what its run left is ended before the next starts."""
    host_here.mkdir()
    killed, left = keeper(host_here / "lock", "run-dead"), of_run("run-dead")
    started += [killed, left]
    heard(killed)
    killed.kill()
    killed.wait(LIMIT)
    with hold_lease(site, "run-2", ["s1"]):
        assert left.wait(LIMIT) != 0


def test_silence_ends_the_run_on_the_host(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    """Without heartbeats the keeper ends all processes of its run, of no other, and gives the lock back."""
    mine, other = of_run("run-1"), of_run("run-10")
    holder = keeper(tmp_path / "lock", "run-1", silence=0.3)
    started += [mine, other, holder]
    assert heard(holder) == {"held": True}
    assert heard(holder) == {"ended": 1}
    assert holder.wait(LIMIT) == 0
    assert mine.wait(LIMIT) != 0
    assert other.poll() is None
    assert not (tmp_path / "lock").exists()


def test_the_end_of_the_connection_ends_the_run_on_the_host(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """A runner that was killed closes its end; the host does not wait for the silence."""
    mine, holder = of_run("run-1"), keeper(tmp_path / "lock", "run-1")
    started += [mine, holder]
    heard(holder)
    assert holder.stdin
    holder.stdin.close()
    assert mine.wait(LIMIT) != 0
    assert holder.wait(LIMIT) == 0


def test_a_process_that_ignores_the_request_is_killed(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """Ending is asked first and enforced after the grace."""
    stubborn = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done"],
        env={**os.environ, "AIPLAT_RUN_ID": "run-1"},
        stdout=subprocess.PIPE,
    )
    started.append(stubborn)
    assert stubborn.stdout
    stubborn.stdout.readline()
    holder = keeper(tmp_path / "lock", "run-1")
    started.append(holder)
    heard(holder)
    holder.communicate(timeout=LIMIT)
    assert stubborn.wait(LIMIT) == -9


def test_an_unreachable_host_is_not_called_held(site: Site, host_here: Path, tmp_path: Path) -> None:
    """A host that does not answer gives its own sentence."""
    (tmp_path / "bin/ssh").write_text("#!/bin/sh\necho 'No route to host' >&2\nexit 255\n")
    with pytest.raises(HostError, match="does not answer"), hold_lease(site, "run-1", ["s1"]):
        pass


def test_only_processes_of_this_machine_are_called_dead() -> None:
    """A holder elsewhere may live although its pid means nothing here."""
    assert is_dead(Holder.model_validate(DEAD))
    assert not is_dead(Holder.model_validate({**DEAD, "machine": "another"}))
    assert not is_dead(Holder.model_validate(this_process()))


def test_what_a_run_left_in_its_temporary_folder_goes_with_it(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """A task that was killed cannot clean up after itself; the lease does."""
    holder = keeper(tmp_path / "lock", "run-1")
    started.append(holder)
    heard(holder)
    scratch = Path(f"{tmp_path / 'lock'}.scratch")
    (scratch / "left").write_text("x")
    holder.communicate(timeout=LIMIT)
    assert not scratch.exists()


def test_the_lock_of_a_host_that_reboots_is_taken_again(
    site: Site, host_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keeper went with the host; when that is back the same run holds it by another connection."""
    monkeypatch.setattr("aiplat.fleet.lease.HEARTBEAT_SECONDS", 0.05)
    with hold_lease(site, "run-1", ["s1"], reboots=["s1"]) as lease:
        before = lease._streams[0].process
        before.kill()
        before.wait(LIMIT)
        until(lambda: lease._streams[0].process is not before)
        assert json.loads((host_here / "lock").read_text())["run"] == "run-1"
    assert not host_here.exists()


def test_the_lock_of_no_other_host_is_taken_again(
    site: Site, host_here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that breaks ends the run on its host, as what ran there ended."""
    monkeypatch.setattr("aiplat.fleet.lease.HEARTBEAT_SECONDS", 0.05)
    asked: list[str] = []
    with hold_lease(site, "run-1", ["s1"]) as lease:
        before = lease._streams[0]
        monkeypatch.setattr(lease, "_take_again", lambda _, stream: asked.append(stream.host.name))
        before.process.kill()
        before.process.wait(LIMIT)
        until(lambda: asked)
        monkeypatch.undo()
        lease._take_again(0, before)
        assert lease._streams[0] is before
    assert asked
