"""The database goes away under load and comes back: nobody fails, nothing is lost, nothing counts twice."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.patience import PATIENCE, eventually
from tests.services.gateway.alone import BODY, TOKENS, Alone, alone, budget, key, post_many, total
from tests.services.gateway.engine import Engine
from tests.services.postgresql import PostgresServer

KEYS = [
    key(),
    key("strict", on_outage="refuse"),
    key("strict-budget", onOutage="refuse", budgets=[budget(10**6)]),
    key("thrifty", budgets=[budget(10**5)]),  # small enough that a slice is used up every second
]


@pytest.fixture
def stoppable(postgresql: PostgresServer) -> Iterator[PostgresServer]:
    """The server; running again afterwards."""
    yield postgresql
    postgresql.stop()
    postgresql.start()


class Load:
    """Clients that ask without a pause until told to stop; every answer is counted by its status."""

    def __init__(self, gateway: Alone, names: tuple[str, ...]) -> None:
        self.statuses: dict[int, int] = {}
        self.slowest = 0.0
        self._stop = threading.Event()
        self._gateway = gateway
        self._threads = [threading.Thread(target=self._run, args=(name,)) for name in names]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _run(self, name: str) -> None:
        with self._gateway.client(name) as client:
            while not self._stop.is_set():
                begin = time.monotonic()
                code = client.post("/v1/completions", json=BODY).status_code
                self.slowest = max(self.slowest, time.monotonic() - begin)
                self.statuses[code] = self.statuses.get(code, 0) + 1

    def goes_on(self, count: int) -> bool:
        """Wait until `count` more requests were answered."""
        goal = sum(self.statuses.values()) + count
        return eventually(lambda: sum(self.statuses.values()) >= goal)


def test_an_outage_under_load_costs_no_request_and_no_record(
    engine: Engine, tmp_path: Path, stoppable: PostgresServer
) -> None:
    """Keys that serve are served, those that refuse are refused; afterwards every request is there once."""
    url = stoppable.new_database()
    with alone(tmp_path / "g", engine, url, keys=KEYS) as gateway:
        with Load(gateway, ("me", "me", "thrifty")) as load:
            assert load.goes_on(100)
            stoppable.stop()
            assert eventually(lambda: gateway.metric("aiplat_gateway_database_up") == 0)
            for strict in ("strict", "strict-budget"):
                with gateway.client(strict) as client:
                    refused = client.post("/v1/completions", json=BODY)
                    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
                    assert refused.json()["error"]["code"] == "accounts_unreachable"
            before = gateway.resident_kib()
            assert load.goes_on(600)
            assert eventually(lambda: gateway.metric("aiplat_gateway_usage_spooled_bytes") > 0)
            assert gateway.resident_kib() < before + 8 * 1024
            assert gateway.metric("aiplat_gateway_usage_queued") < 5000
            stoppable.start()
            assert eventually(lambda: gateway.metric("aiplat_gateway_database_up") == 1)
            with gateway.client("strict") as client:
                assert client.post("/v1/completions", json=BODY).status_code == 200
            assert load.goes_on(50)
        assert gateway.resident_kib("VmHWM") < 120 * 1000
        assert eventually(lambda: gateway.metric("aiplat_gateway_usage_spooled_bytes") == 0)
    assert set(load.statuses) == {200}
    answered = len(engine.asked("/v1/completions"))
    assert answered == load.statuses[200] + 1
    used = total(url)
    assert used.requests == answered
    assert used.prompt_tokens + used.completion_tokens == answered * TOKENS


def test_a_database_that_hangs_holds_up_nobody_for_long(
    engine: Engine, tmp_path: Path, stoppable: PostgresServer
) -> None:
    """It takes connections and says nothing: requests go on after a few seconds, and all are counted."""
    url = stoppable.new_database()
    with alone(tmp_path / "g", engine, url, keys=KEYS) as gateway:
        with Load(gateway, ("me", *["thrifty"] * 6)) as load:
            assert load.goes_on(50)
            stoppable.freeze()
            try:
                assert eventually(lambda: gateway.metric("aiplat_gateway_database_up") == 0)
                assert load.goes_on(300)
            finally:
                stoppable.freeze(False)
            assert eventually(lambda: gateway.metric("aiplat_gateway_database_up") == 1)
            assert load.goes_on(50)
        assert eventually(lambda: gateway.metric("aiplat_gateway_usage_spooled_bytes") == 0)
    assert set(load.statuses) == {200}
    # Seconds on an idle machine; without a limit it would be as long as the database hangs.
    assert load.slowest < PATIENCE / 5
    assert total(url).requests == len(engine.asked("/v1/completions"))


def test_what_was_spooled_outlives_the_gateway(
    engine: Engine, tmp_path: Path, stoppable: PostgresServer
) -> None:
    """Stopped and started during the outage: written down by the one that sees the database again."""
    url = stoppable.new_database()
    with alone(tmp_path / "g", engine, url) as gateway:
        assert post_many(gateway, 10, 4, BODY) == [200] * 10
        stoppable.stop()
        assert post_many(gateway, 30, 8, BODY) == [200] * 30
    assert list((tmp_path / "g" / "spool").glob("*.spool"))
    with alone(tmp_path / "g", engine, url) as gateway:
        # Nobody can be known yet: that is said, rather than that the key is wrong.
        with gateway.client() as client:
            unknown = client.post("/v1/completions", json=BODY)
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (503, "accounts_unreachable")
        stoppable.start()
        assert eventually(lambda: gateway.metric("aiplat_gateway_usage_spooled_bytes") == 0)
        assert eventually(lambda: post_many(gateway, 1, 1, BODY) == [200])
    assert total(url).requests == 41 == len(engine.asked("/v1/completions"))


def test_a_budget_goes_on_where_it_was_after_an_outage(
    engine: Engine, tmp_path: Path, stoppable: PostgresServer
) -> None:
    """What was served beyond the slice during it counts once it is over."""
    url = stoppable.new_database()
    keys = [key(budgets=[budget(100 * TOKENS)])]
    with alone(tmp_path / "g", engine, url, keys=keys) as gateway:
        assert set(post_many(gateway, 20, 4, BODY)) == {200}
        stoppable.stop()
        assert eventually(lambda: gateway.metric("aiplat_gateway_database_up") == 0)
        assert set(post_many(gateway, 100, 8, BODY)) <= {200, 429}
        stoppable.start()
        assert eventually(lambda: gateway.metric("aiplat_gateway_database_up") == 1)
        with gateway.client() as client:

            def refused() -> bool:
                answer = client.post("/v1/completions", json=BODY)
                return "insufficient_quota" in answer.text

            assert eventually(refused)
        assert eventually(lambda: gateway.metric("aiplat_gateway_usage_spooled_bytes") == 0)
    assert total(url).requests == len(engine.asked("/v1/completions")) >= 100


def test_two_gateways_do_not_share_a_spool(engine: Engine, tmp_path: Path) -> None:
    """The second says whose folder it is and leaves with 2."""
    with alone(tmp_path / "g", engine, f"sqlite:///{tmp_path}/a.db") as gateway:
        document = json.loads((gateway.folder / "gateway.json").read_text())
        (gateway.folder / "again.json").write_text(
            json.dumps(document | {"listen": {"port": 0, "health_port": 0}})
        )
        command = [
            sys.executable,
            "-m",
            "aiplat.services.gateway",
            "--config",
            str(gateway.folder / "again.json"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 2
        assert "another gateway keeps its usage here" in done.stderr
        assert httpx.get(f"{gateway.health}/healthz").status_code == 200
