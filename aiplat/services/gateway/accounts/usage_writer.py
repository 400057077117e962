"""Usage and audit on their way to the database: a bounded queue, batches, and a spool while it is away."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from aiplat.moments import moment_of
from aiplat.services.bounds import RECORDS
from aiplat.services.gateway.accounts.spool import Spool, SpoolFull
from aiplat.services.gateway.accounts.timeouts import within
from aiplat.services.store.audit import AuditEntry, append_audit
from aiplat.services.store.database import Database
from aiplat.services.store.faults import Unreachable
from aiplat.services.store.usage import UsageRow, insert_usage

log = logging.getLogger("aiplat.gateway")

_EVERY_SECONDS = 0.5
_BATCH = 1000
_PATIENCE_SECONDS = 3.0
_PAUSE_SECONDS = 1.0

Item = UsageRow | AuditEntry


class Counts(Protocol):
    """Counts what becomes of usage."""

    def usage(self, fate: str, count: int) -> None:
        """`count` items were `written`, `spooled`, `replayed`, `rejected` or `lost`."""


class UsageWriter:
    """Takes items without waiting; holds at most a fixed number in memory, whatever happens."""

    def __init__(
        self, database: Database, spool: Spool, counts: Counts, failed: Callable[[Unreachable], None]
    ) -> None:
        self._database = database
        self._spool = spool
        self._counts = counts
        self._failed = failed
        self._queue: deque[Item] = deque()
        self._wake = asyncio.Event()
        self._away_until = 0.0
        self._writing: asyncio.Future[None] | None = None

    @property
    def queued(self) -> int:
        """Items in memory."""
        return len(self._queue)

    @property
    def spooled_bytes(self) -> int:
        """Bytes that wait on disk."""
        return self._spool.size

    def put(self, item: Item) -> None:
        """Take an item; never waits and never raises."""
        if len(self._queue) >= RECORDS:
            # Only a disk slower than the traffic, or a full one, leads here.
            self._lose(1, "too much waits in memory")
            return
        self._queue.append(item)
        if len(self._queue) >= _BATCH:
            self._wake.set()

    async def run(self) -> None:
        """Write until cancelled; what is then in the queue, or being written, is `close`'s."""
        while True:
            await self._wait()
            self._writing = asyncio.ensure_future(self.write())
            await asyncio.shield(self._writing)

    async def _wait(self) -> None:
        self._wake.clear()
        if len(self._queue) < _BATCH:
            try:
                async with asyncio.timeout(_EVERY_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def write(self) -> None:
        """Write what is queued, to the database or the spool, then some of what was spooled."""
        while batch := self._next():
            await self._write(batch)
        if not self._spool.empty and not self._away:
            try:
                await self._replay()
            except OSError as error:
                log.error("usage that waits on disk cannot be read: %s", error)

    async def close(self) -> None:
        """Write what is left; what the database does not take now stays on disk for the next start."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        while batch := self._next():
            await self._write(batch)
        self._spool.close()

    @property
    def _away(self) -> bool:
        return asyncio.get_running_loop().time() < self._away_until

    def _next(self) -> list[Item]:
        return [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]

    async def _write(self, batch: list[Item]) -> None:
        try:
            await self._write_or_keep(batch)
        except SpoolFull as error:
            self._lose(len(batch), str(error))
        except Exception:
            # Nobody foresaw it: these records are given up, those after them are not.
            log.exception("records could not be written")
            self._lose(len(batch), "they could not be written")

    async def _write_or_keep(self, batch: list[Item]) -> None:
        if not self._away:
            try:
                done = await self._insert(batch)
            except Unreachable as error:
                self._gone(error)
            else:
                self._counts.usage("written", done)
                return
        await asyncio.to_thread(self._spool.append, [encode(item) for item in batch])
        self._counts.usage("spooled", len(batch))

    def _lose(self, count: int, why: str) -> None:
        log.error("usage of %d requests is lost: %s", count, why)
        self._counts.usage("lost", count)

    def _gone(self, error: Unreachable) -> None:
        self._failed(error)
        self._away_until = asyncio.get_running_loop().time() + _PAUSE_SECONDS

    async def _insert(self, items: Sequence[Item]) -> int:
        """Write items; one that the database refuses is set aside, so that it holds up no others.

        Returns how many were written.
        """
        try:
            await within(_PATIENCE_SECONDS, self._insert_all(items))
        except Unreachable:
            raise
        except Exception as error:
            if len(items) == 1:
                log.error("a record that the database refuses is kept aside: %s", type(error).__name__)
                await self._reject(encode(items[0]))
                return 0
            half = len(items) // 2
            return await self._insert(items[:half]) + await self._insert(items[half:])
        return len(items)

    async def _reject(self, line: bytes) -> None:
        try:
            await asyncio.to_thread(self._spool.reject, line)
        except SpoolFull as error:
            self._lose(1, str(error))
        else:
            self._counts.usage("rejected", 1)

    async def _insert_all(self, items: Sequence[Item]) -> None:
        rows = [item for item in items if isinstance(item, UsageRow)]
        lines = [item for item in items if isinstance(item, AuditEntry)]
        if rows:
            await insert_usage(self._database, rows)
        if lines:
            await append_audit(self._database, *lines)

    async def _replay(self) -> None:
        oldest = await asyncio.to_thread(self._spool.oldest)
        if oldest is None:
            return
        name, lines = oldest
        try:
            for begin in range(0, len(lines), _BATCH):
                batch = await self._decoded(lines[begin : begin + _BATCH])
                self._counts.usage("replayed", await self._insert(batch) if batch else 0)
        except Unreachable as error:
            self._gone(error)
            return
        await asyncio.to_thread(self._spool.remove, name)

    async def _decoded(self, lines: Sequence[bytes]) -> list[Item]:
        items: list[Item] = []
        for line in lines:
            try:
                items.append(decode(line))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                await self._reject(line)
        return items


def encode(item: Item) -> bytes:
    """Return an item as one line of JSON."""
    if isinstance(item, UsageRow):
        document: dict[str, Any] = {name: getattr(item, name) for name in UsageRow.__slots__}
        kind = "usage"
    else:
        document, kind = dict(vars(item)), "audit"
    at = document["at"]
    return json.dumps({"kind": kind, **document, "at": at.isoformat() if at else None}).encode()


def decode(line: bytes) -> Item:
    """Return the item that `encode` made a line of.

    Raises:
        ValueError, TypeError, KeyError: the line is none of those.
    """
    document = json.loads(line)
    kind = document.pop("kind")
    document["at"] = moment_of(document["at"]) if document["at"] else None
    return UsageRow(**document) if kind == "usage" else AuditEntry(**document)
