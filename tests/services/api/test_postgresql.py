"""The API on PostgreSQL, as beside the gateway of a cluster, and while that database is away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.api.conftest import Api, People, Place
from tests.services.postgresql import PostgresServer


@pytest.fixture
def on_postgresql(place: Place, postgresql: PostgresServer) -> Iterator[Api]:
    """The API with everybody's keys in a new database."""
    people = People(postgresql.new_database())
    api = Api(place, people, None, people.url)
    yield api
    api.close()


def test_accounts_are_the_same_on_postgresql(on_postgresql: Api) -> None:
    """Keys, budgets, sums, pages and the trail, as on SQLite."""
    ask = on_postgresql.ask
    key = ask("POST", "/keys", json={"name": "ci", "team": "red"}).json()["key"]["id"]
    budget = {"unit": "money", "period": "month", "limit": "0.25"}
    assert ask("PUT", f"/keys/{key}/budgets", json=budget).json()["budgets"][0]["limit"] == "0.25"
    assert ask("GET", "/costs", "red").json()["total"] == "0.003"
    first = ask("GET", "/usage/requests?limit=2").json()["requests"]
    rest = ask("GET", f"/usage/requests?before={first[-1]['cursor']}").json()["requests"]
    assert [r["team"] for r in first + rest] == ["blue", "red", "red"]
    assert [e["action"] for e in ask("GET", "/audit?limit=2").json()["entries"]] == [
        "budget.set",
        "key.created",
    ]
    assert ask("GET", "/usage?team=blue", "red").status_code == 403


def test_an_outage_is_503_and_passes(on_postgresql: Api, postgresql: PostgresServer) -> None:
    """No request fails otherwise, and when the database is back everything is."""
    assert on_postgresql.ask("GET", "/keys").status_code == 200
    postgresql.stop()
    try:
        for path in ("/health", "/keys", "/catalog"):
            answer = on_postgresql.ask("GET", path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json()["detail"] == "database: does not answer; try again in a moment"
    finally:
        postgresql.start()
    assert on_postgresql.ask("GET", "/keys").status_code == 200
