"""What waits on disk for the database: durable, in order, bounded, counted once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from aiplat.services.gateway.recorder import Recorder, decode, encode
from aiplat.services.gateway.spool import Spool, SpoolFull
from aiplat.services.store.audit import AuditEntry, list_audit
from aiplat.services.store.database import Database
from aiplat.services.store.migrate import upgrade
from aiplat.services.store.usage import UsageQuery, UsageRow, sum_usage
from tests.services.gateway.conftest import free_port
from tests.services.postgresql import PostgresServer

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
MIB = 1 << 20


def row(name: str, key: str = "k") -> UsageRow:
    """Return a request."""
    return UsageRow(name, NOON, key, "red", "m", "/v1", 200, "done", 10, 5)


class Fates(Counter[str]):
    """Counts as metrics do."""

    def usage(self, fate: str, count: int) -> None:
        """Add."""
        self[fate] += count


def recorder(url: str, folder: Path, fates: Fates, most: int = MIB) -> tuple[Recorder, Database]:
    """Return a recorder of a database."""
    database = Database.open(url)
    return Recorder(database, Spool(folder, most), fates, lambda _: None), database


def test_what_is_appended_is_read_in_order_by_the_next_process(tmp_path: Path) -> None:
    """Also over several segments; what was removed stays away."""
    spool = Spool(tmp_path, 100 * MIB)
    lines = [b"x" * 1000 + str(n).encode() for n in range(10_000)]
    for begin in range(0, len(lines), 1000):
        spool.append(lines[begin : begin + 1000])
    size = spool.size
    spool.close()
    again = Spool(tmp_path, 100 * MIB)
    assert again.size == size
    found = []
    while (oldest := again.oldest()) is not None:
        found += oldest[1]
        again.remove(oldest[0])
    assert found == lines
    assert again.empty
    again.close()
    assert Spool(tmp_path, MIB).empty


def test_half_a_line_is_left_out_and_not_written_behind(tmp_path: Path) -> None:
    """A process died while it wrote: nobody was told that this line is kept."""
    spool = Spool(tmp_path, MIB)
    spool.append([b"one", b"two"])
    spool.close()
    [segment] = tmp_path.glob("*.spool")
    with segment.open("ab") as file:
        file.write(b'{"half')
    again = Spool(tmp_path, MIB)
    again.append([b"three"])
    first = again.oldest()
    assert first is not None
    assert first[1] == [b"one", b"two"]
    again.remove(first[0])
    second = again.oldest()
    assert second is not None
    assert second[1] == [b"three"]


def test_it_holds_no_more_than_it_may(tmp_path: Path) -> None:
    """And takes more again once something was removed."""
    spool = Spool(tmp_path, 2500)
    spool.append([b"x" * 1000] * 2)
    with pytest.raises(SpoolFull):
        spool.append([b"x" * 1000])
    assert sum(path.stat().st_size for path in tmp_path.glob("*.spool")) == spool.size == 2002
    oldest = spool.oldest()
    assert oldest is not None
    spool.remove(oldest[0])
    spool.append([b"x" * 1000])


def test_a_disk_that_fails_is_a_full_spool(tmp_path: Path) -> None:
    """The folder is gone: said, and not a crash."""
    spool = Spool(tmp_path / "s", MIB)
    (tmp_path / "s").rename(tmp_path / "moved")
    with pytest.raises(SpoolFull, match="No such file"):
        spool.append([b"x"])


def test_items_come_back_as_they_were() -> None:
    """From lines of JSON."""
    line = AuditEntry("a", "b", "c", "gateway", {"d": "e"}, NOON)
    for item in (row("x"), line):
        assert decode(encode(item)) == item
    assert decode(encode(line)).event_id == line.event_id  # type: ignore[union-attr]


def test_a_replay_that_was_cut_short_counts_once(tmp_path: Path, database_url: str) -> None:
    """All was written down, and the process died before it removed the segment: it is there once."""
    fates = Fates()
    spool = Spool(tmp_path / "s", MIB)
    items = [row(f"r{n}") for n in range(1500)] + [AuditEntry("a", "act", "c", "gateway", {}, NOON)]
    spool.append([encode(item) for item in items])
    spool.close()

    async def run() -> tuple[int, int]:
        database = Database.open(database_url)
        await upgrade(database)
        await database.close()
        [kept] = (tmp_path / "s").glob("*.spool")
        content = kept.read_bytes()
        for _ in range(3):
            writer, database = recorder(database_url, tmp_path / "s", fates)
            await writer.write()
            await writer.close()
            assert not kept.exists()
            kept.write_bytes(content)
            counted = (await sum_usage(database, UsageQuery()))[0].requests
            lines = len(await list_audit(database))
            await database.close()
        return counted, lines

    assert asyncio.run(run()) == (1500, 1)
    assert fates["replayed"] == 3 * 1501


def test_a_record_that_the_database_refuses_holds_up_no_other(tmp_path: Path, database_url: str) -> None:
    """It is kept aside for a person to look at."""
    fates = Fates()

    async def run() -> int:
        writer, database = recorder(database_url, tmp_path / "s", fates)
        await upgrade(database)
        for n in range(9):
            writer.put(row(f"r{n}"))
        writer.put(row("poison", key=None))  # type: ignore[arg-type]
        await writer.write()
        counted = (await sum_usage(database, UsageQuery()))[0].requests
        await writer.close()
        await database.close()
        return counted

    assert asyncio.run(run()) == 9
    assert (fates["rejected"], fates["lost"]) == (1, 0)
    assert b"poison" in (tmp_path / "s" / "rejected.jsonl").read_bytes()


def test_a_stop_in_the_middle_of_a_write_loses_nothing(tmp_path: Path, postgresql: PostgresServer) -> None:
    """The database is slow just then; what is on its way is waited for."""
    fates, url = Fates(), postgresql.new_database()

    async def run() -> int:
        writer, database = recorder(url, tmp_path / "s", fates)
        await upgrade(database)
        async with database.begin() as other:
            await other.execute(text("LOCK TABLE usage IN EXCLUSIVE MODE"))
            running = asyncio.ensure_future(writer.run())
            writer.put(row("r1"))
            while writer.queued:
                await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            writer.put(row("r2"))
        await writer.close()
        counted = (await sum_usage(database, UsageQuery()))[0].requests
        await database.close()
        return counted

    assert asyncio.run(run()) == 2
    assert fates == {"written": 2}


def test_memory_is_bounded_when_disk_and_database_are_gone(tmp_path: Path) -> None:
    """What cannot be kept anywhere is counted as lost; taking it never waits and never raises."""
    fates = Fates()

    async def run() -> None:
        url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
        writer, database = recorder(url, tmp_path / "s", fates, most=1000)
        for n in range(25_000):
            writer.put(row(f"r{n}"))
        assert writer.queued == 10_000
        await writer.write()
        assert writer.queued == 0
        await writer.close()
        await database.close()

    asyncio.run(run())
    assert fates["lost"] == 25_000
    assert fates["written"] == 0
