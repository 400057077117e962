"""Every test has a machine with all tools and a cache of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.supply import packages


@pytest.fixture
def cache_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder for the cache; the made builders need no tools."""
    monkeypatch.setattr(packages, "missing_tools", lambda _: [])
    return tmp_path / "cache"
