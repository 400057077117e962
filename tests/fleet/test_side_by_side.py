"""Hosts are asked at once, and an interruption ends what is under way."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aiplat.fleet.side_by_side import of_each
from tests.patience import until

# An ssh that says that it waits, and then waits for a child that waits: as one does for a jump host.
SILENT = """#!/bin/sh
echo waits >>"$LOG"
sleep 600 &
wait
"""
ASKING = """
import sys
from aiplat.fleet.probe import gather_facts
from aiplat.site.models import Site
gather_facts(Site.model_validate_json(sys.argv[1]))
"""


def test_results_come_in_the_order_of_the_items() -> None:
    """However many are asked at once."""
    assert of_each(range(50), lambda number: number * 2, at_once=3) == list(range(0, 100, 2))


def test_what_one_raises_ends_all_of_it() -> None:
    """What waits is not begun any more."""

    def work(number: int) -> int:
        if number == 0:
            raise ValueError("no")
        return number

    with pytest.raises(ValueError, match="no"):
        of_each(range(50), work, at_once=1)


def test_an_interruption_does_not_wait_for_silent_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More hosts than are asked at once, none of which answers for minutes."""
    (tmp_path / "ssh").write_text(SILENT)
    (tmp_path / "ssh").chmod(stat.S_IRWXU)
    log = tmp_path / "log"
    log.touch()
    hosts = [
        {"name": f"h{n}", "address": f"192.0.2.{n + 1}", "role": "agent" if n else "server"}
        for n in range(40)
    ]
    site = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "t-silent", "hosts": hosts}
    for name, value in {"LOG": log, "AIPLAT_STATE": tmp_path, "XDG_RUNTIME_DIR": tmp_path}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen([sys.executable, "-c", ASKING, json.dumps(site)], stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: process.poll() is not None or log.read_text().count("waits") >= 32)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert b"KeyboardInterrupt" in said
    assert log.read_text().count("waits") == 32
