"""Runs build tools so that they end with us and say why they failed; which tools is the builders'."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from aiplat.errors import AiplatError, Finding

# A tool must not go on writing into the cache when whoever called it was killed.
ENDS_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
_LAST_WORDS = 12
# What a tool makes has the same modes, whatever the umask of whoever builds: it becomes part of images.
_UMASK = 0o022
_running: set[subprocess.Popen[str]] = set()


def end_all() -> None:
    """Kill every tool that is running now, with what it started; their callers get a finding."""
    for process in tuple(_running):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def run(
    argv: Sequence[object],
    *,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], object] = lambda _: None,
) -> list[str]:
    """Run a tool to its end and return its lines; each also goes to `on_line` as it comes.

    What `on_line` calls True is mere progress and left out of the finding when the tool fails.

    `what` names the work in the finding; `env` is added to the environment.

    Raises:
        AiplatError: it ended with another status than 0; the finding has the last lines it said.
    """
    command = [*ENDS_WITH_US, *map(str, argv)]
    lines: list[str] = []
    words: list[str] = []
    with subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
        umask=_UMASK,
    ) as process:
        _running.add(process)
        try:
            for raw in process.stdout or ():
                line = raw.rstrip("\n")
                lines.append(line)
                if on_line(line) is not True:
                    words.append(line)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            _running.discard(process)
    if process.returncode != 0:
        said = "\n".join(line for line in words[-_LAST_WORDS:] if line.strip())
        raise AiplatError(
            Finding(what, f"{Path(str(argv[0])).name} failed with status {process.returncode}: {said}")
        )
    return lines
