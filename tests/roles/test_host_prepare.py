"""The modules of host_prepare: what keeps a host out, and which packages are missing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.roles.conftest import RunModule

MODULE = "host_prepare/library/host_checks.py"
V3 = "lm avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a tree that is fit to be a host."""
    texts = {
        "proc/cpuinfo": f"flags\t: {V3}\n",
        "var/lib/x": "",
        "etc/aiplat/lab-host": "t",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def check(run_module: RunModule, root: Path, **more: Any) -> dict[str, Any]:
    """Run the checks with what a plan would say."""
    base = {"root": str(root), "site": "ward-3", "lab_only": True, "now": time.time()}
    return run_module(MODULE, **{**base, **more})


def test_a_fit_host_passes_and_nothing_is_changed(root: Path, run_module: RunModule) -> None:
    """The checks only look."""
    result = check(run_module, root)
    assert (result["changed"], result.get("failed")) == (False, None)


def test_everything_that_is_wrong_is_said_at_once(root: Path, run_module: RunModule) -> None:
    """Marker, processor, space and clock are each a sentence."""
    (root / "etc/aiplat/lab-host").unlink()
    (root / "proc/cpuinfo").write_text("flags : lm\n")
    message = check(run_module, root, disk_free_mib=1 << 40, now=time.time() - 3600)["msg"]
    for sentence in (
        "not a lab host",
        "not x86-64-v3",
        "MiB are needed",
        "clock is 3600 s ahead",
    ):
        assert sentence in message


def test_real_k3s_needs_no_marker(root: Path, run_module: RunModule) -> None:
    """Only the stand-in is for labs alone."""
    (root / "etc/aiplat/lab-host").unlink()
    assert "failed" not in check(run_module, root, lab_only=False)


def test_somebody_elses_k3s_is_not_taken_over(root: Path, run_module: RunModule) -> None:
    """A unit that aiplat did not write keeps the host out."""
    unit = root / "etc/systemd/system/k3s.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/usr/local/bin/k3s server\n")
    assert "is there already and not aiplat's" in check(run_module, root)["msg"]
