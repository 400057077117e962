"""Runs the machine's own tools (ip, nft, cp, …) and turns their failure into a finding; decides nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any

from aiplat.content import parsed_json
from aiplat.errors import AiplatError, Finding


def run(*argv: str, given: str | None = None) -> str:
    """Run a tool and return what it printed; `given` goes to its standard input.

    Raises:
        AiplatError: it ended with another status than 0; the finding has the last lines it printed.
    """
    done = attempt(argv, given)
    if done.returncode != 0:
        raise AiplatError(
            Finding(" ".join(argv[:4]), _last_words(done.stderr) or f"status {done.returncode}")
        )
    return done.stdout


def attempt(argv: Sequence[str], given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a tool whose failure is an answer; the caller looks at the return code."""
    stdin = subprocess.DEVNULL if given is None else None
    return subprocess.run(argv, check=False, capture_output=True, text=True, input=given, stdin=stdin)


def run_json(*argv: str) -> Any:
    """Run a tool that prints one JSON document and return it; nothing printed means an empty list."""
    return parsed_json(run(*argv) or "[]")


# A command that works on files or mounts must not live on when its caller is killed: the next call
# would find it still writing. The kernel ends it with the thread that started it.
DIES_WITH_CALLER = ("setpriv", "--pdeathsig", "KILL", "--")


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(lines[-3:])
