"""A runner killed in each step in turn, on real hosts: nothing of it lives on and the next run completes."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiplat.lab import lab_down, lab_restore, lab_snapshot, lab_up
from aiplat.runs.watchdog import processes_of
from aiplat.site.load import load_site
from tests.patience import eventually

# No model and no gateway: what is shown here does not need them, and the bundle is made in less time.
SITE = """
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: t-run-kill
hosts:
  - {name: trk-s1, address: 10.95.7.11, role: server}
planes:
  model: {ollama: {state: off}, operator: {state: off}}
  access: {gateway: {state: off}}
  data: {postgresql: {state: off}}
"""
STEPS = ("bundle", "stage", "host_prepare", "site_registry", "k3s_server", "plane_release")

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A site whose lab host is up, with nothing on it, and kept as `fresh`."""
    folder = tmp_path_factory.mktemp("kill")
    path = folder / "site.yaml"
    path.write_text(SITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(folder / "state"))
        patch.delenv("XDG_RUNTIME_DIR", raising=False)
        lab_up(load_site(path))
        lab_snapshot("t-run-kill", "fresh")
        yield path
        lab_down("t-run-kill")


@pytest.fixture(autouse=True)
def state(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state that belongs to the lab, instead of one for each test."""
    monkeypatch.setenv("AIPLAT_STATE", str(site.parent / "state"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


def bootstrap(site: Path) -> subprocess.Popen[str]:
    """Start a run that reports JSON lines."""
    code = "from aiplat.cli.main import main; main()"
    argv = [sys.executable, "-c", code, "bootstrap", str(site), "--yes", "--json"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("step", STEPS)
def test_run_killed_in_a_step_is_gone_and_the_next_completes(site: Path, step: str) -> None:
    """Killed in the middle of a step: no process and no secret is left, and the next run ends green."""
    lab_restore("t-run-kill", "fresh")
    killed = bootstrap(site)
    run_id = _reach(killed, step)
    handles = [os.pidfd_open(pid) for pid in processes_of(run_id)]
    killed.send_signal(signal.SIGKILL)
    killed.communicate()

    for handle in handles:
        assert select.select([handle], [], [], 60)[0], "a process of the killed run lives on"
        os.close(handle)
    # One that was begun between the look and the kill has no handle, and the same time to end.
    assert eventually(lambda: processes_of(run_id) == [])

    events = _completed(site)
    assert (events[0]["after"], events[0]["after_step"]) == (run_id, step)
    assert not list(Path("/dev/shm").glob(f"aiplat-*/run-{run_id}"))
    summary = events[-1]
    assert summary["state"] == "done"
    assert [c for c in summary["checks"] if c["result"] == "FAIL"] == []


def test_run_after_all_that_changes_nothing(site: Path) -> None:
    """What came of the last resumed run is what a run that was never cut off leaves."""
    units = _main_pids(site)
    events = _completed(site)
    assert (events[-1]["changed"], events[-1]["restarts"]) == (0, [])
    assert "step_started" not in {e.get("event") for e in events if e.get("step") != "checks"}
    assert _main_pids(site) == units


def _reach(run: subprocess.Popen[str], step: str) -> str:
    """Read events until the step has begun and done something, and return the run's id."""
    assert run.stdout is not None
    begun = False
    for line in run.stdout:
        event: dict[str, Any] = json.loads(line)
        if begun and event.get("step") == step:
            return str(event["run"])
        begun = begun or (event.get("event"), event.get("step")) == ("step_started", step)
    raise AssertionError(f"the run ended before {step}: {run.communicate()[1]}")


def _completed(site: Path) -> list[dict[str, Any]]:
    """Run to the end and return the run's events with the summary last."""
    run = bootstrap(site)
    output, errors = run.communicate()
    assert run.returncode == 0, errors
    lines = [json.loads(line) for line in output.splitlines()]
    return [line for line in lines if line.get("kind") != "Event"]


def _main_pids(site: Path) -> dict[str, str]:
    from aiplat.fleet.probe import gather_facts  # noqa: PLC0415 - after the state folder is set

    (host,) = gather_facts(load_site(site)).hosts
    return {name: unit["MainPID"] for name, unit in host.units.items()}
