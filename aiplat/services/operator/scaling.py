"""How many replicas a model's load asks for; pure arithmetic over what the gateways count."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Load:
    """What all gateways together say of one model at one moment; not `complete` where one did not answer."""

    in_flight: int = 0
    waiting: int = 0
    complete: bool = True

    @property
    def requests(self) -> int:
        """Requests being answered or held."""
        return self.in_flight + self.waiting


def together(loads: Iterable[Load | None]) -> Load | None:
    """Return the load of a model and its adapters, which the same replicas answer; None without any news."""
    known = [load for load in loads if load]
    if not known:
        return None
    counted = (sum(load.in_flight for load in known), sum(load.waiting for load in known))
    return Load(*counted, all(load.complete for load in known))


@dataclass
class Scaler:
    """Goes up at once and down slowly: only when less was enough for the whole of `delay` seconds.

    It remembers the needs of that time alone; after a restart it waits the delay out again, which costs
    a replica's time and never a request.
    """

    _needs: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    def wanted(self, uid: str, load: Load | None, current: int, target: int, delay: int, now: float) -> int:  # noqa: PLR0913, PLR0917
        """Return how many replicas a model needs; without any news of its load, as many as there are.

        `target` is how many requests a replica takes, `now` in seconds of any steady clock.
        """
        need = math.ceil(load.requests / target) if load else current
        if load is None or need >= current or not load.complete:
            self._needs.pop(uid, None)
            return max(need, current)
        needs = self._needs.setdefault(uid, [])
        needs.append((now, need))
        if now - needs[0][0] < delay:
            return current
        self._needs[uid] = kept = [(at, n) for at, n in needs if now - at <= delay]
        return min(current, max(n for _, n in kept))

    def forget(self, uids: set[str]) -> None:
        """Drop every model but those that are still there."""
        for uid in self._needs.keys() - uids:
            del self._needs[uid]
