"""Copies the project's own sources into what is made of them; which sources is said by recipes."""

from __future__ import annotations

import shutil
from pathlib import Path

from aiplat.catalog.inputs import source_path


def copy_sources(names: tuple[str, ...], into: Path) -> None:
    """Copy files and folders that recipes name from the project's root, without compiled Python."""
    for name in names:
        source, target = source_path(name), into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
