"""What a database outage does to the gateway: requests that fail, memory while it lasts, usage afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass

import psycopg

from tests.bench.peers import KEY, OTHER_CORE, ROOT, Peer, pinned
from tests.services.postgresql import PostgresServer

_RATE_CONNECTIONS = 4


@dataclass(frozen=True)
class Outage:
    """What was seen; memory in MB, before, at most while the database was away, and after it came back."""

    seconds: float
    answered: int
    failed: int
    before: float
    during: float
    after: float
    counted: int


def _load(peer: Peer, seconds: float) -> subprocess.Popen[bytes]:
    asked = {"port": peer.port, "key": KEY, "model": "frames-8", "stream": False, "prompt": 60}
    asked |= {"connections": _RATE_CONNECTIONS, "seconds": seconds}
    command = pinned(OTHER_CORE, [sys.executable, "-m", "tests.bench.load", json.dumps(asked)])
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)


def _rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from usage").fetchone()
    return int(row[0]) if row else 0


def measure(server: PostgresServer, url: str, peer: Peer, seconds: float) -> Outage:
    """Stop the database for `seconds` under load and see what becomes of the requests of that time."""
    rows, before = _settled(url), peer.memory_mb()
    load = _load(peer, seconds + 2)
    time.sleep(1)
    server.stop()
    began, during = time.monotonic(), 0.0
    while time.monotonic() < began + seconds:
        during = max(during, peer.memory_mb())
        time.sleep(0.5)
    server.start()
    out, _ = load.communicate()
    seen = json.loads(out)
    counted = _settled(url) - rows
    return Outage(seconds, len(seen["ms"]), seen["failed"], before, during, peer.memory_mb(), counted)


def _settled(url: str) -> int:
    # What waited on disk is replayed in the background: look until the count stands still.
    rows, still = -1, 0
    while still < 5:
        now = _rows(url)
        still = still + 1 if now == rows else 0
        rows = now
        time.sleep(1)
    return rows


def section(seen: Outage) -> str:
    """Return the section of the report."""
    counts = f"{seen.answered:,} | {seen.failed} | {seen.counted:,}"
    return f"""\
## A database outage

PostgreSQL stopped for {seen.seconds:.0f} s under {_RATE_CONNECTIONS} connections of load. Goal: none
fails, and as many usage rows as answers.

| answered | failed | usage rows after | MB before | most while away | MB after |
|---|---|---|---|---|---|
| {counts} | {seen.before:.0f} | {seen.during:.0f} | {seen.after:.0f} |
"""
