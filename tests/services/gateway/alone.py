"""A gateway that runs alone, from one file, and what its database says afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from aiplat.content import write_atomic
from aiplat.services.store.database import Database
from aiplat.services.store.usage import UsageQuery, UsageSum, sum_usage
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.services.gateway.conftest import MODEL
from tests.services.gateway.engine import Engine

T = TypeVar("T")
BODY = {"model": MODEL, "prompt": "count to seven", "max_tokens": 5}
TOKENS = 16  # of one answer, as the engine counts


@dataclass(frozen=True)
class Alone:
    """Where a gateway answers, and where its database is."""

    url: str
    health: str
    folder: Path
    database_url: str
    process: subprocess.Popen[bytes]

    def secret(self, key: str = "me") -> str:
        """Return the secret that the gateway made for a key."""
        return (self.folder / f"{key}.key").read_text().strip()

    def client(self, key: str = "me") -> httpx.Client:
        """Return a client with the key's secret."""
        headers = {"authorization": f"Bearer {self.secret(key)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE)

    def metric(self, line: str) -> float:
        """Return the value of one sample of /metrics, 0 where it is absent."""
        text = httpx.get(f"{self.health}/metrics", timeout=PATIENCE).text
        found = [row.rpartition(" ")[2] for row in text.splitlines() if row.startswith(line)]
        return float(found[0]) if found else 0.0

    def resident_kib(self, which: str = "VmRSS") -> int:
        """Return the process's memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(which))

    def log(self) -> str:
        """Return what the gateway said."""
        return (self.folder / "log").read_text()


def key(named: str = "me", **values: Any) -> dict[str, Any]:
    """Return a key for the file."""
    return {"id": named, "secret_file": f"{named}.key", **values}


def budget(limit: float, unit: str = "tokens", period: str = "day") -> dict[str, Any]:
    """Return a budget for the file."""
    return {"unit": unit, "period": period, "limit": limit}


@contextlib.contextmanager
def alone(folder: Path, engine: Engine, database_url: str, **values: Any) -> Iterator[Alone]:
    """Run a gateway until the block ends; it must then leave with 0."""
    port, health = free_port(), free_port()
    url = engine.url
    names = [MODEL, "endless", "breaks", "too-busy"]
    document = {
        "listen": {"port": port, "health_port": health},
        "models": [{"name": name, "url": url} for name in names],
        "database": {"url": database_url},
        "keys": [key()],
        **values,
    }
    folder.mkdir(exist_ok=True)
    write_atomic(folder / "gateway.json", json.dumps(document).encode())
    command = [sys.executable, "-m", "aiplat.services.gateway", "--config", str(folder / "gateway.json")]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stderr=log, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    gateway = Alone(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{health}", folder, database_url, process)
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=12), timeout=PATIENCE) as client:
            client.get(f"{gateway.health}/healthz").raise_for_status()
            client.get(gateway.url)
        yield gateway
    finally:
        process.terminate()
        code = process.wait(PATIENCE)
    assert code == 0, gateway.log()


def with_database(url: str, act: Callable[[Database], Awaitable[T]]) -> T:
    """Return what `act` returns of a database."""

    async def run() -> T:
        database = Database.open(url)
        try:
            return await act(database)
        finally:
            await database.close()

    return asyncio.run(run())


def total(url: str, **query: Any) -> UsageSum:
    """Return the sum of all usage that was written down."""
    return with_database(url, lambda database: sum_usage(database, UsageQuery(**query)))[0]


def post_many(gateway: Alone, count: int, at_once: int, body: dict[str, Any], name: str = "me") -> list[int]:
    """Send requests from many clients at once; returns the status of each answer."""
    headers = {"authorization": f"Bearer {gateway.secret(name)}"}

    async def one(client: httpx.AsyncClient, gate: asyncio.Semaphore) -> int:
        async with gate:
            return (await client.post("/v1/completions", json=body)).status_code

    async def run() -> list[int]:
        gate, limits = asyncio.Semaphore(at_once), httpx.Limits(max_connections=at_once)
        async with httpx.AsyncClient(
            base_url=gateway.url, headers=headers, timeout=PATIENCE, limits=limits
        ) as client:
            return await asyncio.gather(*(one(client, gate) for _ in range(count)))

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, run()).result()
