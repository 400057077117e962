"""An aiplat with a k3s of the minor version before: this checkout, with another stamp on the stand-in."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from aiplat.catalog.versions import from_versions_yaml
from aiplat.k3s.images import TABLE, images_of
from aiplat.k3s.release import release_of
from aiplat.shipped import shipped, shipped_root

_NOT_COPIED = (
    ".git",
    ".venv",
    ".build",
    ".reports",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    "__pycache__",
)
_STAMP = 'VERSION="$KUBERNETES+k3s1"'


def now() -> str:
    """Return the release of k3s that this aiplat brings."""
    return from_versions_yaml("kubernetes.k3s")


def before() -> str:
    """Return the newest release of the minor version before that asks for the same images."""
    # Asking for others it would need a bundle of its own, with images that nothing here builds.
    current = release_of(now())
    known = [line.split("\t")[0] for line in shipped(TABLE).read_text().splitlines() if line[:1] == "v"]
    fitting = [
        r for r in known if images_of(r) == images_of(now()) and release_of(r).minor == current.minor - 1
    ]
    return max(fitting, key=release_of)


def earlier_checkout(target: Path) -> Path:
    """Copy this checkout and have it bring the release before; returns the copy."""
    shutil.copytree(shipped_root(), target, ignore=shutil.ignore_patterns(*_NOT_COPIED), symlinks=True)
    _replace(target / "versions.yaml", f"k3s: {now()}", f"k3s: {before()}")
    _replace(target / "lab/standin/build", _STAMP, f"VERSION={before()}")
    # Each release of k3s brings other programs, and so unpacks them into another folder.
    with (target / "lab/standin/aux.sh").open("a") as script:
        script.write(f"# {before()}\n")
    return target


def _replace(file: Path, old: str, new: str) -> None:
    text, count = re.subn(re.escape(old), new, file.read_text())
    assert count == 1, f"{file}: {old} stands there {count} times"
    file.write_text(text)
