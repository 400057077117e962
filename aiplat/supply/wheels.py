"""Unpacks locked Python wheels for an image's Python; what image they go into is not known here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from aiplat.catalog.inputs import source_path
from aiplat.errors import AiplatError, Finding
from aiplat.supply.process import run


def uv_program() -> Path | None:
    """Return uv: beside this Python, or on PATH; None where there is none."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    return Path(found) if found else None


def install_wheels(
    requirements: str,
    python: str,
    target: Path,
    platform: str = "x86_64-manylinux_2_40",
    environment: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Unpack what a lock file names into `target`, for CPython `python` on `platform` (uv's name for it).

    Every file is compared with the lock's hash; nothing is built from source.

    Raises:
        AiplatError: uv is missing, or a wheel cannot be had or differs from its hash.
    """
    uv = uv_program()
    if uv is None:
        raise AiplatError(Finding("uv", "is missing", "install uv from PyPI beside aiplat"))
    argv = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--no-config",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--no-deps",
    ]
    argv += ["--python-version", python, "--python-platform", platform, "--link-mode", "copy"]
    run([*argv, "--target", target, "-r", source_path(requirements)], what=requirements, env=environment)
    # uv notes when and how it installed; that would make every image differ.
    for note in (".lock", "CACHEDIR.TAG"):
        (target / note).unlink(missing_ok=True)
    shutil.rmtree(target / "bin", ignore_errors=True)
