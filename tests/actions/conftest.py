"""State of its own for each test of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State and runtime folders of the test's own."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("AIPLAT_VAULT_PASSWORD_FILE", raising=False)
    return tmp_path
