"""Runs `aiplat …` in the test's own process, as whoever types it sees it; what is typed is the tests'."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from aiplat.cli.main import main

Ended = tuple[int, str, str]
"""Exit code, standard output, standard error."""
Typed = Callable[..., Ended]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Run the command line with the words that are typed, and return how it ended and what it alone said."""

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["aiplat", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run
