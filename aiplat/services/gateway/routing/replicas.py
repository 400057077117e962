"""Chooses a replica for each request and holds requests while there is none; asking it is for failover."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Iterator

from yarl import URL

from aiplat.services.bounds import WAITING_REQUESTS as MOST_WAITING
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.routing.models import Model
from aiplat.services.gateway.routing.prefixes import PrefixMemory

# A replica that saw the prefix is taken while it has at most this share more than its part of the load:
# beyond it, waiting there costs more than computing the prompt again.
_LOAD_CAP = 1.25
_FIRST_ASIDE = 1.0
_LONGEST_ASIDE = 30.0


class Replica:
    """One engine process of a model. `aside_until` is on the monotonic clock, 0 when it is in use."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.in_flight = 0
        self.failures = 0
        self.aside_until = 0.0
        self.last_used = 0
        self._addresses: dict[str, URL] = {}

    def at(self, path: str) -> URL:
        """Return the address of a path there; parsed once, because paths are few and requests many."""
        if (address := self._addresses.get(path)) is None:
            address = self._addresses[path] = URL(self.url + path, encoded=True)
        return address

    def failed(self) -> None:
        """Set it aside, each time in a row for twice as long."""
        pause = min(_LONGEST_ASIDE, _FIRST_ASIDE * 2**self.failures)
        self.failures += 1
        self.aside_until = time.monotonic() + pause

    def worked(self) -> None:
        """Use it like every other again."""
        self.failures, self.aside_until = 0, 0.0


class Pool:
    """The replicas of one model, and who waits for one."""

    def __init__(self, model: Model, most_waiting: int = MOST_WAITING) -> None:
        self.model = model
        self.replicas: tuple[Replica, ...] = ()
        self.in_flight = 0
        self.waiting = 0
        self.asked_at = 0.0
        self._most_waiting = most_waiting
        self._turn = 0
        self._memory = PrefixMemory()
        self._changed = asyncio.Event()
        self._served = True
        self.update(model)

    def update(self, model: Model) -> None:
        """Take over a changed model; what is known of replicas that stay is kept."""
        known = {replica.url: replica for replica in self.replicas}
        self.model = model
        self.replicas = tuple(known.get(url) or Replica(url) for url in model.replicas)
        if self.replicas:
            self._changed.set()
        else:
            self._changed.clear()

    def gone(self) -> None:
        """Let those who wait go on: the model is served no more."""
        self._served = False
        self._changed.set()

    @property
    def several(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.replicas) > 1

    def all_aside(self) -> bool:
        """Whether there are replicas and every one has just failed."""
        now = time.monotonic()
        return bool(self.replicas) and all(r.aside_until > now for r in self.replicas)

    def untried(self, tried: Collection[str]) -> bool:
        """Whether a replica is left that is not among `tried`."""
        return any(r.url not in tried for r in self.replicas)

    async def ready(self) -> None:
        """Wait until there is a replica.

        Raises:
            ApiError: 503 when none came within the model's `hold_seconds`, or too many wait already.
        """
        if self.replicas:
            return
        if self.waiting >= self._most_waiting:
            raise errors.too_many_wait(self.model.name)
        self.waiting += 1
        try:
            async with asyncio.timeout(self.model.hold_seconds):
                # A replica may come and go again before those who wait get their turn.
                while self._served and not self.replicas:
                    await self._changed.wait()
        except TimeoutError:
            raise errors.not_ready(self.model.name) from None
        finally:
            self.waiting -= 1
        if not self.replicas:
            raise errors.not_ready(self.model.name)

    def choose(self, blocks: tuple[int, ...] = (), tried: Collection[str] = ()) -> Replica:
        """Return the replica for a request whose prompt begins with `blocks`; there must be one.

        One that has the prefix comes first while its load allows, else the one with least in flight.
        Those in `tried` and those set aside are taken only when there is no other.
        """
        if len(self.replicas) == 1:
            return self.replicas[0]
        now = time.monotonic()
        fresh = [r for r in self.replicas if r.url not in tried]
        able = [r for r in fresh if r.aside_until <= now] or fresh or list(self.replicas)
        found = self._with_prefix(able, blocks) or min(able, key=lambda r: (r.in_flight, r.last_used))
        self._turn += 1
        found.last_used = self._turn
        if blocks:
            self._memory.note(blocks, found.url)
        return found

    def _with_prefix(self, able: list[Replica], blocks: tuple[int, ...]) -> Replica | None:
        url = self._memory.find(blocks) if blocks else None
        found = next((r for r in able if r.url == url), None)
        if found is None:
            return None
        cap = math.ceil(_LOAD_CAP * (sum(r.in_flight for r in able) + 1) / len(able))
        return found if found.in_flight < cap else None


class Pools:
    """A pool for each model of a table."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._most_waiting = most_waiting
        self._pools: dict[str, Pool] = {}

    def update(self, models: tuple[Model, ...]) -> None:
        """Follow a model table."""
        fresh: dict[str, Pool] = {}
        for model in models:
            pool = self._pools.pop(model.name, None)
            if pool is None:
                pool = Pool(model, self._most_waiting)
            elif pool.model is not model:
                pool.update(model)
            fresh[model.name] = pool
        for pool in self._pools.values():
            pool.gone()
        self._pools = fresh

    def of(self, model: Model) -> Pool:
        """Return the pool of a model; one that has just left the table gets a pool of its own."""
        return self._pools.get(model.name) or Pool(model, self._most_waiting)

    def __iter__(self) -> Iterator[Pool]:
        return iter(self._pools.values())
