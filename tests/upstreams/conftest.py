"""Every test has upstreams of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.upstreams.server import Upstreams


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Upstreams]:
    """Return upstreams that answer while the test runs."""
    with Upstreams(tmp_path / "upstreams") as upstreams:
        yield upstreams
