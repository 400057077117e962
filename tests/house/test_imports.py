"""Data flows one way through the rooms."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.house.tree import ROOT


def test_only_lower_rooms_are_imported(tmp_path: Path) -> None:
    """import-linter keeps the order that ARCHITECTURE.md draws."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(linter), "--cache-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_every_room_is_described() -> None:
    """Each folder of the package stands in ARCHITECTURE.md's table of rooms."""
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = {path.parent.name for path in (ROOT / "aiplat").glob("*/__init__.py")} - {"services"}
    assert [room for room in sorted(rooms) if f"`aiplat/{room}/`" not in architecture] == []
