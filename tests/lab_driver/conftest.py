"""Labs for the tests: state of their own, removed afterwards whatever happened; the base root is shared."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiplat.lab import lab_down, ssh_argv
from tests.patience import PATIENCE


@pytest.fixture(scope="module")
def lab_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give all labs of a test file a state folder of their own."""
    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def removed_after(lab_state: Path) -> Iterator[Callable[[str], str]]:
    """Give a function that notes a lab's name; every lab noted is removed at the end."""
    names: list[str] = []

    def note(name: str) -> str:
        names.append(name)
        return name

    yield note
    for name in names:
        lab_down(name)


@pytest.fixture(scope="module")
def on_host() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Give a function that runs a shell command on a lab host."""

    def run(lab: str, host: str, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ssh_argv(lab, host), command], capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    return run
