"""What waits on disk for the database: durable, in order, bounded, counted once."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from aiplat.services.gateway.accounts.spool import Spool, SpoolFull
from aiplat.services.gateway.accounts.usage_writer import UsageWriter, decode, encode
from aiplat.services.store.audit import AuditEntry, list_audit
from aiplat.services.store.database import Database
from aiplat.services.store.migrate import upgrade
from aiplat.services.store.usage import UsageQuery, UsageRow, sum_usage
from tests.ports import free_port
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


def recorder(url: str, folder: Path, fates: Fates, most: int = MIB) -> tuple[UsageWriter, Database]:
    """Return a recorder of a database."""
    database = Database.open(url)
    return UsageWriter(database, Spool(folder, most), fates, lambda _: None), database


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


def test_a_segment_that_cannot_be_made_costs_its_records_and_no_more(tmp_path: Path) -> None:
    """The disk is full when the first one is to be made: the next append is a new try."""
    spool = Spool(tmp_path / "spool", MIB)
    (tmp_path / "spool" / "00000001.spool").mkdir()
    for _ in range(3):
        with pytest.raises(SpoolFull):
            spool.append([b"one"])
    (tmp_path / "spool" / "00000001.spool").rmdir()
    spool.append([b"two"])
    found = spool.oldest()
    assert found is not None
    assert found[1] == [b"two"]


@pytest.mark.anyio
async def test_whatever_fails_the_recorder_goes_on_and_says_what_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody foresaw the fault: its batch is counted as lost, the next one is written."""
    fates = Fates()
    writer, database = recorder(f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "spool", fates)
    await upgrade(database)
    with monkeypatch.context() as patch:
        patch.setattr(writer._spool, "append", lambda _: 1 / 0)
        patch.setattr(writer, "_away_until", float("inf"))
        writer.put(row("a"))
        await writer.write()
    writer.put(row("b"))
    await writer.write()
    await writer.close()
    assert (fates["lost"], fates["written"]) == (1, 1)
    assert [s.requests for s in await sum_usage(database, UsageQuery())] == [1]
    await database.close()


@pytest.mark.anyio
async def test_no_count_is_too_large_to_be_written_or_summed(database_url: str, tmp_path: Path) -> None:
    """Beyond 64 bits, negative, or so that sums overflow: the rest of the batch is written as well."""
    fates = Fates()
    writer, database = recorder(database_url, tmp_path / "spool", fates)
    await upgrade(database)
    odd = [(10**25, -(10**25), 10**30), (2**63 - 1, 2**63 - 1, 2**63 - 1)] * 20
    for number, (prompt, completion, cost) in enumerate(odd):
        writer.put(
            replace(row(f"n{number}"), prompt_tokens=prompt, completion_tokens=completion, cost_nano=cost)
        )
    await writer.write()
    async with database.begin(writes=True) as connection:
        await connection.execute(text("UPDATE usage SET prompt_tokens = 9000000000000000000"))
    [found] = await sum_usage(database, UsageQuery())
    assert (fates["written"], found.requests, found.prompt_tokens) == (40, 40, 40 * 9 * 10**18)
    await writer.close()
    await database.close()


def test_files_with_usage_or_hashes_are_their_owners_alone(tmp_path: Path) -> None:
    """Whatever the process's mask: the database and what lies beside it, the spool, what was refused."""
    old = os.umask(0)
    try:
        asyncio.run(_write_all_files(tmp_path))
    finally:
        os.umask(old)
    modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.rglob("*") if p.is_file()}
    assert {"a.db", "a.db-wal", "rejected.jsonl", "00000001.spool"} <= modes.keys()
    assert set(modes.values()) == {0o600}


async def _write_all_files(folder: Path) -> None:
    writer, database = recorder(f"sqlite:///{folder / 'a.db'}", folder / "spool", Fates())
    await upgrade(database)
    async with database.begin(writes=True):
        writer._spool.append([b"x"])
        writer._spool.reject(b"y")
