"""Hosts are asked at once, and an interruption ends what is under way."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiplat.fleet.side_by_side import of_each
from aiplat.fleet.ssh import run_on
from aiplat.site.models import Host, Site
from tests.patience import PATIENCE, until

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


@pytest.fixture
def silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hosts none of which answers for minutes; returned is the file in which each ssh says that it waits."""
    (tmp_path / "ssh").write_text(SILENT)
    (tmp_path / "ssh").chmod(stat.S_IRWXU)
    log = tmp_path / "log"
    log.touch()
    for name, value in {"LOG": log, "AIPLAT_STATE": tmp_path, "XDG_RUNTIME_DIR": tmp_path}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return log


def site_of(hosts: int) -> dict[str, object]:
    """Return a site of so many hosts."""
    all_of_them = [
        {"name": f"h{n}", "address": f"192.0.2.{n + 1}", "role": "agent" if n else "server"}
        for n in range(hosts)
    ]
    return {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "t-silent", "hosts": all_of_them}


def waiting(log: Path) -> int:
    """Return how many hosts were asked."""
    return log.read_text().count("waits")


def test_an_interruption_does_not_wait_for_silent_hosts(silent: Path) -> None:
    """More hosts than are asked at once."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    argv = [sys.executable, "-c", ASKING, json.dumps(site_of(40))]
    try:
        process = subprocess.Popen(argv, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, before)
    until(lambda: process.poll() is not None or waiting(silent) >= 32)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert b"KeyboardInterrupt" in said
    assert waiting(silent) == 32


def test_an_interruption_while_hosts_are_handed_out_does_not_wait_for_them_either(silent: Path) -> None:
    """Those that are asked already are let go, and the others are not asked."""
    site = Site.model_validate(site_of(3))
    ended: list[int] = []

    def until_asked() -> Iterator[Host]:
        yield from site.hosts[:2]
        until(lambda: waiting(silent) == 2)
        raise KeyboardInterrupt

    def ask(host: Host) -> None:
        ended.append(run_on(site, host, ["true"], timeout=2 * PATIENCE).code)

    with pytest.raises(KeyboardInterrupt):
        of_each(until_asked(), ask)
    assert (ended, waiting(silent)) == ([-signal.SIGKILL] * 2, 2)
