"""Says on standard error how far a large file is hashed; who hashes it, and why, is aiplat.catalog's."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

_SECONDS = 2.0


class HashingLines:
    """A line when a file takes more than two seconds, and one every two seconds then."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._path: Path | None = None
        self._told = 0.0

    def __call__(self, path: Path, done: int, total: int) -> None:
        """Take note of how far a file is."""
        now = self._clock()
        if path != self._path:
            self._path, self._told = path, now
        elif now - self._told >= _SECONDS:
            self._told = now
            self._say(f"hash {path.name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB (once; then it is known)")
