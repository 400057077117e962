"""Runs `aiplat bundle …` in this process, as whoever types it sees it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from aiplat.cli.main import main

Aiplat = Callable[..., tuple[int, str, str]]
"""Runs the words; returns exit code, standard output and standard error."""


def bundle_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Aiplat:
    """Return what runs `aiplat bundle` with words."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["aiplat", "bundle", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run
