"""A lab host with a simulated card: driver from the bundle, a planned reboot, a run that is killed in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiplat.actions.gpu_facts import gather_with_gpus
from aiplat.plan.models import Plan
from aiplat.plan.steps import managed
from tests.e2e import simulated_gpu as gpu
from tests.e2e.journey import Journey

pytestmark = [pytest.mark.lab, pytest.mark.journey]
HOST = "t-hostgpu-a1"
# Two reboots, and everything a node needs, on a machine that may be slow.
SECONDS = 1500


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """A server and an agent; the agent has a simulated card that nouveau holds."""
    journey = make_journey("host-gpu")
    gpu.show(journey.name, HOST, gpu.FRESH)
    return journey


@pytest.fixture(scope="module")
def files(ward: Journey, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The packages, staged on the host."""
    made = gpu.packages(tmp_path_factory.mktemp("packages"))
    gpu.stage(ward.name, HOST, made)
    return made


def started(ward: Journey, files: dict[str, Path]) -> subprocess.Popen[str]:
    """Start carrying the site's plan out."""
    folder = next(iter(files.values())).parent
    argv = [sys.executable, "-m", "tests.e2e.simulated_gpu", str(ward.site_file), str(folder)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)


def carried_out(ward: Journey, files: dict[str, Path]) -> list[dict[str, Any]]:
    """Carry the plan out and return its events."""
    with started(ward, files) as process:
        out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, out[-3000:]
    return [json.loads(line) for line in out.splitlines()]


def plan_of(ward: Journey, files: dict[str, Path]) -> Plan:
    """Return the plan as it is now."""
    site = gpu.with_gpus(ward.site_file)
    return gpu.planned(site, gpu.lock_with(ward.site_file, files), gather_with_gpus(site))


def boot_id(ward: Journey) -> str:
    """Return which start of the host this is."""
    return ward.on_host("cat /proc/sys/kernel/random/boot_id", HOST).strip()


def is_in(ward: Journey, start: str) -> bool:
    """Whether the host still answers in this start of it; it may be back within one look."""
    return ward.reached(HOST) and boot_id(ward) == start


def wait_until_started(ward: Journey) -> None:
    """Wait until the host lets people in and has started all it starts."""
    deadline = time.monotonic() + SECONDS
    while not ward.reached(HOST):
        assert time.monotonic() < deadline, f"{HOST} did not come back"
        time.sleep(0.5)
    ward.on_host("systemctl is-system-running --wait || true", HOST)


@pytest.fixture(scope="module")
def first(ward: Journey, files: dict[str, Path]) -> tuple[str, list[dict[str, Any]]]:
    """The start of the host before the first run, and that run's events."""
    return boot_id(ward), carried_out(ward, files)


def test_the_driver_answers_after_a_reboot_that_was_planned(
    ward: Journey, first: tuple[str, list[dict[str, Any]]]
) -> None:
    """Packages of the bundle, the reboot, then the rest of the run, all in one."""
    before, events = first
    steps = [event["step"] for event in events if event["event"] == "step_finished"]
    assert [s for s in steps if s.startswith("host_")] == ["host_prepare", "host_gpu", "host_reboot"]
    assert "k3s_agent" in steps[steps.index("host_reboot") :]
    assert boot_id(ward) != before
    assert gpu.CARD in ward.on_host("nvidia-smi -L", HOST)
    assert "cdiVersion" in ward.on_host("cat /var/run/cdi/nvidia.yaml", HOST)
    assert "blacklist nouveau" in ward.on_host("cat /etc/modprobe.d/*", HOST)


def test_then_there_is_nothing_to_do(
    ward: Journey, files: dict[str, Path], first: tuple[str, list[dict[str, Any]]]
) -> None:
    """The verdict is healthy and the ledger has what was installed."""
    assert plan_of(ward, files).steps == ()


def test_a_run_that_is_killed_while_the_host_reboots_is_resumed(
    ward: Journey, files: dict[str, Path], first: tuple[str, list[dict[str, Any]]]
) -> None:
    """The node was closed and its host reboots; the next run opens it and reboots nothing again."""
    gpu.show(ward.name, HOST, gpu.MISMATCH)
    plan = plan_of(ward, files)
    assert [(step.id, step.hosts) for step in plan.steps] == [("host_reboot", (HOST,))]
    assert plan.steps[0].restarts == (f"the whole host on {HOST}",)
    before = boot_id(ward)
    process = started(ward, files)
    assert process.stdout
    for line in process.stdout:
        if '"The host has started again"' in line:
            break
    deadline = time.monotonic() + SECONDS
    while is_in(ward, before):
        assert time.monotonic() < deadline, f"{HOST} did not reboot"
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    process.stdout.close()
    wait_until_started(ward)
    after = boot_id(ward)
    assert after != before
    closed = f"k3s kubectl get node {HOST} -o jsonpath='{{.spec.unschedulable}}'"
    assert ward.on_host(closed) == "true"
    assert plan_of(ward, files).steps[0].reason == {HOST: "a reboot of it was cut off"}
    carried_out(ward, files)
    assert boot_id(ward) == after
    assert ward.on_host(closed) == ""
    assert plan_of(ward, files).steps == ()


def test_a_reset_takes_the_driver_with_it(ward: Journey, first: tuple[str, list[dict[str, Any]]]) -> None:
    """What aiplat installed goes: packages, unit, files."""
    ward.aiplat("reset", str(ward.site_file), "--yes")
    assert "nvidia" not in ward.on_host("dpkg-query -W -f '${Package}\\n'", HOST)
    places = [*managed("host_gpu")["files"].values(), "/var/run/cdi/nvidia.yaml"]
    assert ward.on_host(f"ls -d {' '.join(places)} 2>/dev/null || true", HOST) == ""
