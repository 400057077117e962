"""Takes out of unpacked Python wheels what a recipe says no container of theirs loads."""

from __future__ import annotations

import shutil
from pathlib import Path

from aiplat.catalog.recipes import Slim
from aiplat.errors import AiplatError, Finding
from aiplat.supply.process import run
from aiplat.supply.standins import write_standins


def slim_down(packages: Path, slim: Slim, work: Path) -> None:
    """Remove files, write stand-ins for libraries that are linked and never called, strip the large ones.

    Raises:
        AiplatError: a pattern of the recipe names nothing any more, or a library cannot be made.
    """
    for pattern in slim.leave_out:
        for path in _named(packages, pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if slim.stand_ins:
        write_standins(packages, slim.stand_ins_in, slim.stand_ins, work)
    for pattern in slim.strip:
        for path in _named(packages, pattern):
            run(["strip", "--strip-unneeded", path], what=f"strip {path.name}")


def _named(packages: Path, pattern: str) -> list[Path]:
    """Return what a pattern names, folders before what is in them left out where it is gone already."""
    found = sorted(packages.glob(pattern))
    if not found:
        problem = f"{pattern} names nothing in the packages any more"
        raise AiplatError(Finding("slim", problem, "take it out of the recipe"))
    return found
