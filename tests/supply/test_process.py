"""Build tools say why they failed and end with whoever called them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aiplat.errors import AiplatError
from aiplat.supply.process import end_all, run
from tests.patience import PATIENCE


def test_lines_come_as_they_are_said() -> None:
    """Standard output and standard error together."""
    seen: list[str] = []
    assert run(["sh", "-c", "echo one; echo two >&2"], what="speech", on_line=seen.append) == ["one", "two"]
    assert seen == ["one", "two"]


def test_a_failure_has_the_last_words() -> None:
    """What was mere progress is left out."""
    script = "echo compiling a; echo 'a.c:1: no such header'; echo compiling b; exit 3"
    with pytest.raises(AiplatError) as caught:
        run(["sh", "-c", script], what="program", on_line=lambda line: line.startswith("compiling"))
    assert str(caught.value) == "program: sh failed with status 3: a.c:1: no such header"


def test_what_a_tool_makes_has_the_same_mode_for_everybody(tmp_path: Path) -> None:
    """A program that only its owner may run would be no use in an image whose user is another."""
    before = os.umask(0o077)
    try:
        run(["sh", "-c", f"touch {tmp_path}/file; mkdir {tmp_path}/folder"], what="made")
    finally:
        os.umask(before)
    assert [oct(path.stat().st_mode & 0o777) for path in sorted(tmp_path.iterdir())] == ["0o644", "0o755"]


def test_all_tools_can_be_ended_at_once() -> None:
    """With what they started; whoever waits gets a finding."""
    failed: list[AiplatError] = []
    started = threading.Event()

    def work() -> None:
        try:
            run(
                ["sh", "-c", "echo here; sleep 600 & wait"], what="long work", on_line=lambda _: started.set()
            )
        except AiplatError as error:
            failed.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    assert started.wait(PATIENCE)
    end_all()
    worker.join(PATIENCE)
    assert len(failed) == 1


def test_a_tool_does_not_outlive_a_killed_caller(tmp_path: Path) -> None:
    """Killed with SIGKILL, the caller takes its tool along."""
    pipe = tmp_path / "alive"
    os.mkfifo(pipe)
    argv = ["sh", "-c", f"exec 3>{pipe}; echo ready; exec sleep 600"]
    code = f"""
from aiplat.supply.process import run
run({argv!r}, what="x", on_line=lambda line: print(line, flush=True))
"""
    with (
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as caller,
        pipe.open("rb") as held_by_tool,
    ):
        assert caller.stdout is not None
        assert caller.stdout.readline() == "ready\n"
        caller.kill()
        # The end of the file comes when the last process that has the pipe open is gone.
        assert held_by_tool.read() == b""
