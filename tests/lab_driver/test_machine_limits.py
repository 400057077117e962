"""Machine-wide settings: raised once, put back once, and never over somebody else's change."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.lab.machine_limits import put_back, raise_limits


@pytest.fixture
def setting(tmp_path: Path) -> Path:
    """Give a setting as Debian has it."""
    path = tmp_path / "max_user_instances"
    path.write_text("128\n")
    return path


def test_the_first_value_comes_back(setting: Path, tmp_path: Path) -> None:
    """Two labs raise it once; the value from before the first comes back."""
    kept = tmp_path / "run" / "kept"
    assert [raise_limits(setting, kept), raise_limits(setting, kept)] == [True, False]
    assert int(setting.read_text()) == 1024
    assert put_back(setting, kept) == (kept,)
    assert setting.read_text() == "128"
    assert not kept.parent.exists()


def test_what_somebody_else_set_since_stays(setting: Path, tmp_path: Path) -> None:
    """An administrator's own higher value is not undone."""
    raise_limits(setting, tmp_path / "run" / "kept")
    setting.write_text("8192\n")
    put_back(setting, tmp_path / "run" / "kept")
    assert setting.read_text() == "8192\n"


def test_a_machine_with_enough_is_not_touched(setting: Path, tmp_path: Path) -> None:
    """Nothing is written down either, so nothing is put back."""
    setting.write_text("4096\n")
    assert not raise_limits(setting, tmp_path / "kept")
    assert put_back(setting, tmp_path / "kept") == ()
