"""How often keys and teams may ask: buckets that fill evenly; budgets of a day or month are leases."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from aiplat.services.bounds import REMEMBERED

_MINUTE = 60.0


class _Bucket:
    """Holds up to a minute's worth. May go below nothing: what was used is only known afterwards."""

    __slots__ = ("at", "left", "limit")

    def __init__(self, limit: int, now: float) -> None:
        self.limit, self.left, self.at = limit, float(limit), now

    def fill(self, limit: int, now: float) -> None:
        grown = self.left + (now - self.at) * limit / _MINUTE + (limit - self.limit)
        self.limit, self.left, self.at = limit, min(float(limit), grown), now

    def wait(self, needed: float) -> int:
        """Return the seconds until `needed` is there, 0 when it is."""
        missing = needed - self.left
        return math.ceil(missing * _MINUTE / self.limit) if missing > 0 else 0


class RateLimits:
    """The buckets of one gateway process, by what they count for whom."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str, str], _Bucket] = {}

    def take(self, name: tuple[str, str, str], limit: int) -> int:
        """Take one of a bucket; returns 0, or after how many seconds there is one to take."""
        bucket = self._filled(name, limit)
        wait = bucket.wait(1.0)
        if not wait:
            bucket.left -= 1
        return wait

    def wait(self, name: tuple[str, str, str], limit: int) -> int:
        """Return after how many seconds something is in a bucket; 0 when there is."""
        return self._filled(name, limit).wait(min(1.0, limit))

    def spend(self, name: tuple[str, str, str], limit: int, amount: int) -> None:
        """Take `amount`, also where so much is not there."""
        self._filled(name, limit).left -= amount

    def _filled(self, name: tuple[str, str, str], limit: int) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= REMEMBERED:
                self._forget_full(now)
            bucket = self._buckets[name] = _Bucket(limit, now)
        bucket.fill(limit, now)
        return bucket

    def _forget_full(self, now: float) -> None:
        # A bucket that has had a minute to fill again says nothing that a new one would not.
        self._buckets = {n: b for n, b in self._buckets.items() if now - b.at < _MINUTE or b.left < 0}
