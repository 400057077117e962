"""A clock for streams to open pages: they end after so many looks, on a machine of whatever speed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

_LOOKS = 5


class Looks:
    """Stands where streams have the module `time`: each look is told an early hour, and then a late one."""

    def __init__(self) -> None:
        self._left, self._held = _LOOKS, False

    def monotonic(self) -> float:
        """Return whether it is late, as seconds; the next stream begins with all its looks again."""
        if self._held or self._left:
            self._left -= not self._held
            return 0.0
        self._left = _LOOKS
        return math.inf

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let streams look on while the block changes something; then they have all their looks again."""
        self._held = True
        try:
            yield
        finally:
            self._held, self._left = False, _LOOKS
