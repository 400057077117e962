"""A runner killed in the middle of each step; nothing of it lives on, and the next run completes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from aiplat.lab import lab_restore, lab_snapshot
from tests.e2e.journey import AIPLAT, Journey, processes_with

pytestmark = pytest.mark.lab
# Every step that touches hosts, in the order of a run.
STEPS = ("stage", "host_prepare", "site_registry", "k3s_server", "plane_release")


@pytest.fixture(scope="module")
def hosts(make_journey: Callable[[str], Journey]) -> Journey:
    """A host of which a copy exists as it was before each step; the run was killed at each step's start."""
    journey = make_journey("killed")
    for step in STEPS:
        _kill(journey, partial(_begins, step))
        lab_snapshot(journey.name, f"before-{step}")
    return journey


def _begins(step: str, event: dict[str, Any]) -> bool:
    return event["event"] == "step_started" and event["step"] == step


def _kill(journey: Journey, moment: Callable[[dict[str, Any]], bool]) -> str:
    """Run bootstrap, end it with SIGKILL at the first event that is the `moment`; return the run's id."""
    argv = [AIPLAT, "bootstrap", str(journey.site_file), "--yes", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as runner:
        assert runner.stdout is not None
        for line in runner.stdout:
            event = json.loads(line)
            if moment(event):
                runner.kill()
                return str(event["run"])
    raise AssertionError("the run ended before the moment came")


@pytest.mark.parametrize("step", STEPS)
def test_killed_in_the_middle_the_next_run_completes(hosts: Journey, step: str) -> None:
    """Nothing of the killed run lives on here or on the host; bootstrap completes, checks are green."""
    lab_restore(hosts.name, f"before-{step}")

    def in_the_middle(event: dict[str, Any]) -> bool:
        return event.get("step") == step and event["event"] in {"task", "progress"}

    run = _kill(hosts, in_the_middle)
    summary = hosts.bootstrap()
    assert processes_with(f"AIPLAT_RUN_ID={run}") == []
    assert hosts.on_host(f"grep -laz AIPLAT_RUN_ID={run} /proc/[0-9]*/environ 2>/dev/null || true") == ""
    assert summary["state"] == "done"
    assert "5, 6, 7" in summary["words"]["answer"]
    hosts.aiplat("verify", str(hosts.site_file))
