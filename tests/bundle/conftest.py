"""A whole bundle of small made content, in a state folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from aiplat.bundle.build import build_bundle
from aiplat.bundle.bundle import Bundle
from aiplat.supply import packages
from tests.supply.worlds import Workshop, lock, silent, site, supply


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep state and cache of a test in its own folder; the made builders need no tools."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(packages, "missing_tools", lambda _: [])
    return tmp_path / "state" / "aiplat"


@pytest.fixture
def workshop() -> Workshop:
    """Return the builders whose calls are counted."""
    return Workshop()


@pytest.fixture
def build(tmp_path: Path, workshop: Workshop) -> Callable[..., Bundle]:
    """Return a function that builds the bundle, of version 1.0.0 unless said otherwise."""

    def build(version: str = "1.0.0") -> Bundle:
        wanted = lock(version)
        return build_bundle(site(), wanted, supply(tmp_path / "cache", workshop, wanted), silent)

    return build


@pytest.fixture
def bundle(build: Callable[..., Bundle]) -> Bundle:
    """Return a bundle that was just built."""
    return build()
