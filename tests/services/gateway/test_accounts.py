"""A gateway with accounts: keys, scopes, rates, budgets and usage, on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aiplat.services.store.audit import list_audit
from aiplat.services.store.keys import NewKey, create_key, revoke_key, rotate_key
from aiplat.services.store.usage import UsageQuery, list_usage
from tests.patience import eventually
from tests.services.gateway.alone import (
    BODY,
    TOKENS,
    Alone,
    alone,
    budget,
    key,
    post_many,
    total,
    with_database,
)
from tests.services.gateway.conftest import MODEL
from tests.services.gateway.engine import Engine
from tests.services.postgresql import PostgresServer


def test_a_key_may_use_its_models_and_no_others(engine: Engine, tmp_path: Path, database_url: str) -> None:
    """Its own scope and its team's hold both; the lists show just what it may use."""
    keys = [
        key("all"),
        key("one", models=["gemma3:*"]),
        key("teamed", team="red", models=["endless", "breaks"]),
        key("late", expires_at="2020-01-01T00:00:00Z"),
    ]
    teams = [{"name": "red", "models": ["breaks", MODEL]}]
    with alone(tmp_path / "g", engine, database_url, keys=keys, teams=teams) as gateway:
        seen = {}
        for name in ("all", "one", "teamed"):
            with gateway.client(name) as client:
                seen[name] = [m["id"] for m in client.get("/v1/models").json()["data"]]
                refused = client.post("/v1/completions", json={**BODY, "model": "too-busy"})
                assert (refused.status_code == 403) == (name != "all")
        assert refused.json()["error"]["code"] == "model_not_allowed"
        assert seen == {
            "all": sorted([MODEL, "endless", "breaks", "too-busy"]),
            "one": [MODEL],
            "teamed": ["breaks"],
        }
        with gateway.client("late") as client:
            late = client.post("/v1/completions", json=BODY)
            assert (late.status_code, late.json()["error"]["code"]) == (401, "expired_api_key")
        assert eventually(lambda: len(refusals_in_audit(database_url)) == 2)
    assert {line.actor for line in refusals_in_audit(database_url)} == {"one", "teamed"}


def refusals_in_audit(url: str) -> list[Any]:
    """Return the lines about models that were refused."""
    return with_database(url, lambda db: list_audit(db, action="refused.model_not_allowed"))


def test_keys_of_the_database_are_known_and_forgotten_soon(
    engine: Engine, tmp_path: Path, database_url: str
) -> None:
    """Made, rotated and revoked by somebody else, as the control API does."""
    with alone(tmp_path / "g", engine, database_url) as gateway, gateway.client() as client:

        def status(secret: str) -> int:
            headers = {"authorization": f"Bearer {secret}"}
            return client.post("/v1/completions", json=BODY, headers=headers).status_code

        def becomes(secret: str, wanted: int) -> bool:
            return eventually(lambda: status(secret) == wanted)

        issued = with_database(database_url, lambda db: create_key(db, NewKey("new"), "root"))
        assert becomes(issued.secret, 200)
        named = issued.record.id
        second = with_database(database_url, lambda db: rotate_key(db, named, "root", timedelta(hours=1)))
        assert becomes(second.secret, 200)
        assert status(issued.secret) == 200
        third = with_database(database_url, lambda db: rotate_key(db, named, "root", timedelta(seconds=1)))
        assert becomes(second.secret, 401)
        with_database(database_url, lambda db: revoke_key(db, named, "root"))
        assert becomes(third.secret, 401)


def test_a_rate_is_kept_and_says_when_to_come_back(engine: Engine, tmp_path: Path, database_url: str) -> None:
    """Requests by taking them, tokens by what they turned out to be; for keys and for teams."""
    keys = [key("slow", requests_per_minute=3), key("wordy", tokens_per_minute=20), key("a", team="red")]
    teams = [{"name": "red", "requests_per_minute": 1}]
    with alone(tmp_path / "g", engine, database_url, keys=keys, teams=teams) as gateway:
        for name, passed in (("slow", 3), ("wordy", 2), ("a", 1)):
            with gateway.client(name) as client:
                answers = [client.post("/v1/completions", json=BODY) for _ in range(passed + 1)]
            assert [a.status_code for a in answers] == [200] * passed + [429]
            assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded"
            assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert gateway.metric('aiplat_gateway_refused_total{code="rate_limit_exceeded"}') == 3


@pytest.mark.parametrize("named_limit", [True, False])
def test_a_budget_holds_against_64_clients_at_once(
    engine: Engine, tmp_path: Path, database_url: str, named_limit: bool
) -> None:
    """Nothing over it, and all but a last request: limits are named, or bound to what is left."""
    most, least = 2000, 60
    body = BODY if named_limit else {"model": MODEL, "prompt": "x"}
    with alone(tmp_path / "g", engine, database_url, keys=[key(budgets=[budget(most)])]) as gateway:
        statuses: list[int] = []
        with gateway.client() as client:
            while not statuses or "insufficient_quota" not in client.post("/v1/completions", json=body).text:
                statuses += post_many(gateway, 200, 64, body)
            last = client.post("/v1/completions", json=body)
        assert last.status_code == 429
        assert last.json()["error"]["request_id"] == last.headers["x-aiplat-request-id"]
        assert int(last.headers["retry-after"]) > 1
        assert set(statuses) == {200, 429}
        answered = len(engine.asked("/v1/completions"))
    used = total(database_url)
    assert used.prompt_tokens + used.completion_tokens == answered * TOKENS == used.requests * TOKENS
    assert most - least <= answered * TOKENS <= most


MORE_THAN_A_THOUSAND: list[tuple[str, dict[str, Any]]] = [
    ("/v1/completions", {"prompt": ["a"] * 20, "max_tokens": 50}),
    ("/v1/completions", {"prompt": "a", "n": 20}),
    ("/v1/chat/completions", {"messages": [], "n": 20, "max_completion_tokens": 50}),
    ("/v1/responses", {"input": "a", "max_output_tokens": 5000}),
    ("/api/chat", {"messages": [], "stream": False, "options": {"num_predict": 5000}}),
    ("/api/generate", {"prompt": "a", "stream": False}),
]


def test_a_request_that_is_more_than_what_is_left_is_bound_to_it(engine: Engine, tmp_path: Path) -> None:
    """Engine and client are told the bound, on every path; far too many answers are refused unasked."""
    keys = [key(f"k{number}", budgets=[budget(1000)]) for number in range(len(MORE_THAN_A_THOUSAND) + 1)]
    with alone(tmp_path / "g", engine, f"sqlite:///{tmp_path / 'a.db'}", keys=keys) as gateway:
        for number, (path, asked) in enumerate(MORE_THAN_A_THOUSAND):
            with gateway.client(f"k{number}") as client:
                answer = client.post(path, json={"model": MODEL, **asked})
            assert answer.status_code == 200, answer.text
            told = engine.seen[-1][1]
            bound = told.get("max_tokens") or told["options"]["num_predict"]
            assert answer.headers["x-aiplat-max-tokens"] == str(bound)
            answers = 20 if "n" in asked or isinstance(asked.get("prompt"), list) else 1
            assert 900 < bound * answers < 1000
        with gateway.client(keys[-1]["id"]) as client:
            engine.seen.clear()
            asked = {"model": MODEL, "prompt": ["a"] * 200, "max_tokens": 50}
            answer = client.post("/v1/completions", json=asked)
            assert (answer.status_code, answer.json()["error"]["code"]) == (429, "insufficient_quota")
            assert "is not enough for this request" in answer.json()["error"]["message"]
            assert not engine.seen
            assert client.post("/v1/completions", json=BODY).status_code == 200


def test_two_gateways_share_a_budget(engine: Engine, tmp_path: Path, postgresql: PostgresServer) -> None:
    """Each leases slices; together they never exceed the limit, and leave less than a request each."""
    most, url = 4000, postgresql.new_database()
    secrets = [key(budgets=[budget(most)])]
    with alone(tmp_path / "a", engine, url, keys=secrets) as first:
        (tmp_path / "b").mkdir()
        (tmp_path / "b" / "me.key").write_text(first.secret())
        with alone(tmp_path / "b", engine, url, keys=secrets) as second:

            def used_up(gateway: Alone) -> bool:
                post_many(gateway, 64, 32, BODY)
                with gateway.client() as client:
                    return "insufficient_quota" in client.post("/v1/completions", json=BODY).text

            # A slice that one holds is the other's after it lay idle for a while.
            assert eventually(lambda: used_up(first) and used_up(second))
    used = total(url).requests * TOKENS
    assert used == len(engine.asked("/v1/completions")) * TOKENS
    assert most - 4 * TOKENS <= used <= most


def test_requests_and_money_have_budgets_too(engine: Engine, tmp_path: Path, database_url: str) -> None:
    """A team's budget counts for all of its keys; what costs nothing uses up no money."""
    teams = [{"name": "red", "budgets": [budget(3, "requests", "month")]}]
    keys = [key("a", team="red"), key("b", team="red"), key("rich", budgets=[budget(0.0015, "money")])]
    prices = {MODEL: {"prompt": 10, "completion": 20, "request": "0.0001"}}
    with alone(tmp_path / "g", engine, database_url, keys=keys, teams=teams, prices=prices) as gateway:
        with gateway.client("a") as a, gateway.client("b") as b:
            answers = [client.post("/v1/completions", json=BODY) for client in (a, b, a, b)]
        assert [x.status_code for x in answers] == [200, 200, 200, 429]
        assert "the budget of the team red (3 requests per month) is used up" in answers[-1].text
        with gateway.client("rich") as rich:
            found = [rich.post("/v1/completions", json=BODY).status_code for _ in range(5)]
            assert found == [200, 200, 200, 200, 429]
            assert rich.post("/v1/completions", json={**BODY, "model": "breaks"}).status_code == 200
    # 11 tokens at 10 and 5 at 20 a million, and the request itself.
    assert total(database_url, key="rich", model=MODEL).cost == 4 * Decimal("0.00031")


def test_every_request_is_written_down_once(engine: Engine, tmp_path: Path, database_url: str) -> None:
    """Whole, streamed, broken off, refused by the engine, and left by the client, which is an estimate."""
    began = datetime.now(UTC)
    with alone(tmp_path / "g", engine, database_url) as gateway, gateway.client() as client:
        headers = {"x-request-id": "always-the-same"}
        named = client.post("/v1/completions", json=BODY, headers=headers)
        client.post("/v1/completions", json={**BODY, "stream": True}, headers=headers)
        client.post("/v1/completions", json={**BODY, "model": "breaks", "stream": True})
        client.post("/v1/completions", json={**BODY, "model": "too-busy"})
        engine.drop_next(4)
        client.post("/v1/completions", json=BODY)
        with client.stream("POST", "/v1/completions", json={**BODY, "model": "endless", "stream": True}) as s:
            pieces = s.iter_raw()
            next(pieces)
        left = 'aiplat_gateway_requests_total{endpoint="/v1/completions",model="endless"'
        assert eventually(lambda: gateway.metric(left) == 1)
        engine.release.set()
        client.get("/v1/models")
        client.post("/v1/completions", json={**BODY, "model": "nobody"})
    rows = with_database(database_url, lambda db: list_usage(db, UsageQuery()))
    found = [(r.model, r.status, r.outcome, r.prompt_tokens, r.completion_tokens, r.estimated) for r in rows]
    assert sorted(found[2:]) == sorted(
        [
            (MODEL, 200, "done", 11, 5, False),
            (MODEL, 200, "done", 11, 5, False),
            ("breaks", 200, "failed", found[3][3], found[3][4], True),
            ("too-busy", 429, "done", 0, 0, False),
        ]
    )
    assert found[3][3] > 0, "the prompt of an answer that broke off is an estimate"
    assert found[1] == (MODEL, 502, "failed", 0, 0, False)
    assert found[0][:3] == ("endless", 200, "client_left")
    assert found[0][5]
    assert all(began <= r.at <= datetime.now(UTC) and r.key == "me" for r in rows)
    called = with_database(database_url, lambda db: list_usage(db, UsageQuery(request_id="always-the-same")))
    assert len(called) == 2, "one id used twice counts twice"
    own = named.headers["x-aiplat-request-id"]
    found_by_own = with_database(database_url, lambda db: list_usage(db, UsageQuery(request_id=own)))
    assert [(r.request_id, r.client_request_id) for r in found_by_own] == [(own, "always-the-same")]


def test_no_secret_is_in_a_log_or_in_the_database(engine: Engine, tmp_path: Path, database_url: str) -> None:
    """Neither one that is good nor one that is wrong, whatever the requests did."""
    with alone(tmp_path / "g", engine, database_url) as gateway, gateway.client() as client:
        client.post("/v1/completions", json={**BODY, "model": "breaks", "stream": True})
        wrong = {"authorization": "Bearer sk-aiplat-very-wrong"}
        client.post("/v1/completions", json=BODY, headers=wrong)
        secret = gateway.secret()
        assert (gateway.folder / "me.key").stat().st_mode & 0o777 == 0o600
    written = with_database(database_url, everything)
    for hidden in (secret, secret.removeprefix("sk-aiplat-"), "very-wrong"):
        assert hidden not in gateway.log()
        assert hidden not in written
    assert "sha256:" in written


async def everything(database: Any) -> str:
    """Return all rows of all tables as text."""
    from aiplat.services.store.tables import metadata  # noqa: PLC0415

    async with database.begin() as connection:
        tables = [list(await connection.execute(table.select())) for table in metadata.sorted_tables]
    return repr([[tuple(row) for row in rows] for rows in tables])
