"""Files that are replaced while the gateway runs: read again, and what is wrong with them is said once."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from aiplat.services.gateway.config import reload


def test_a_file_that_stays_broken_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again and again, and heard of again after it was good in between."""
    monkeypatch.setattr(reload, "_EVERY_SECONDS", 0.0)
    file, read = tmp_path / "config", 0
    file.write_text("good")

    def load() -> None:
        nonlocal read
        read += 1
        if read != 3:
            raise ValueError("line 1 is wrong")

    async def follow() -> None:
        task = asyncio.ensure_future(reload.reload_on_change((file,), load))
        while read < 5:
            await asyncio.sleep(0)
            file.write_text("x" * (read + 1))
        task.cancel()

    with caplog.at_level(logging.WARNING, "aiplat.gateway"):
        asyncio.run(follow())
    assert [record.message for record in caplog.records] == [
        "cannot be read, the old content stays: line 1 is wrong"
    ] * 2
