"""Finds the files aiplat ships (playbooks, roles, charts, inventory, lab, versions); reads none of them."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped_root() -> Path:
    """Return the folder that holds `playbooks/`, `roles/`, `charts/`…: the checkout, or the wheel's copy."""
    in_wheel = _PACKAGE / "_shipped"
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent


def shipped(relative: str) -> Path:
    """Return the path of one shipped file or folder, for example `shipped("charts")`.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    path = shipped_root() / relative
    if not path.exists():
        raise FileNotFoundError(f"{relative} is missing from this installation of aiplat ({shipped_root()})")
    return path
