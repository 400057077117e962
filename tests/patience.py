"""How long a test waits for what always comes: a loaded machine may take minutes, a hang forever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Never a measure of speed: one flush to a busy disk has taken a minute.
PATIENCE = 300


def until(look: Callable[[], T], told: Callable[[], object] = str, pause: float = 0.02) -> T:
    """Look again until something is seen, and return it; `told` is what a failure shows."""
    deadline = time.monotonic() + PATIENCE
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not seen within {PATIENCE} s: {told()}"
        time.sleep(pause)
    return seen


def eventually(true: Callable[[], bool]) -> bool:
    """Wait until something is true; fails where it never is."""
    return until(true)
