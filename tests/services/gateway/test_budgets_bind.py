"""Budgets bind: whatever is asked, whoever answers and however it ends, no more is spent than is said."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from aiplat.services.gateway import slices
from aiplat.services.gateway.account_metrics import AccountMetrics
from aiplat.services.gateway.anthropic import messages_request
from aiplat.services.gateway.book import Book
from aiplat.services.gateway.calls import Asked, used
from aiplat.services.gateway.counts import Counted
from aiplat.services.gateway.estimate import estimate
from aiplat.services.gateway.exchange import Exchange
from aiplat.services.gateway.fields import CHAT, bound, check_fields
from aiplat.services.gateway.gate import AccountGate, Ledger
from aiplat.services.gateway.models import Model, ModelTable
from aiplat.services.gateway.prices import Price, Prices
from aiplat.services.gateway.refusals import Refusal
from aiplat.services.gateway.responses import chat_of
from aiplat.services.gateway.sent import sent
from aiplat.services.gateway.slices import Slices
from aiplat.services.gateway.usage import Record, Usage
from aiplat.services.store.budgets import Budget
from aiplat.services.store.database import Database
from aiplat.services.store.declared import Declared, apply_declared
from aiplat.services.store.keys import NewKey
from aiplat.services.store.migrate import upgrade
from aiplat.services.store.secret import hash_key
from aiplat.services.store.usage import UsageRow

pytestmark = pytest.mark.anyio

PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/api/chat", "/api/generate")
MODELS = (
    Model(name="free", url="http://10.0.0.1", fallbacks=("dear", "cheap")),
    Model(name="cheap", url="http://10.0.0.2", engine="vllm", fallbacks=("free",)),
    Model(name="dear", url="https://far.example/v1").model_copy(update={"provider": "far"}),
)
PRICES = Prices(
    {
        "cheap": Price(prompt=Decimal(1), completion=Decimal(2)),
        "dear": Price(prompt=Decimal(50), completion=Decimal(90)),
    }
)
LIMITS = {"tokens": 20_000, "money": Decimal("0.3"), "requests": 60}
UNNAMED = 1024


class Engine:
    """Answers as its kind does: it goes by the bound that its path reads of what it is sent."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.told: Counted | None = None
        self.frames = 0

    def counted(self) -> Counted | None:
        """Return what it says it used; nothing where nobody heard the end."""
        return self.told

    def written(self) -> int:
        """Return how many frames were seen."""
        return self.frames

    def answer(self, model: Model, path: str, document: dict[str, Any], guess: Usage) -> Usage:
        """Return what it really used, at most what it was told."""
        if path == "/v1/responses":
            document = chat_of(document) | {"max_completion_tokens": bound(path, document)}
            path = "/v1/chat/completions"
        body, _ = sent(model, path, document)
        if path.startswith("/api/"):
            most = (body.get("options") or {}).get("num_predict")
        else:
            most = body.get("max_tokens")
        prompts = body.get("prompt")
        several = len(prompts) if isinstance(prompts, list) else 1
        each = most if isinstance(most, int) and most > 0 else UNNAMED
        # Ollama's own paths know one prompt and one answer.
        times = max(1, body.get("n") or 1, body.get("best_of") or 1)
        total = each if path.startswith("/api/") else each * several * times
        return Usage(self.random.randint(0, guess.prompt), self.random.randint(0, total))


def request(random: Random) -> tuple[str, dict[str, Any]]:
    """Return some request, with bounds of its own API and of others."""
    path = random.choice(PATHS)
    document: dict[str, Any] = {"model": random.choice(MODELS).name}
    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
        if random.random() < 0.4:
            document[name] = random.choice([1, 5, 300, 9000, -1])
    if random.random() < 0.4:
        document["options"] = {"num_predict": random.choice([1, 200, 9000, -1])}
    for name in ("n", "best_of"):
        if random.random() < 0.2:
            document[name] = random.choice([1, 3, 30])
    if path == "/v1/completions":
        prompts = ["a"] * random.choice([1, 4, 200])
        document["prompt"] = random.choice(["x" * random.randint(0, 900), prompts])
    elif path == "/v1/responses":
        document["input"] = "x" * random.randint(0, 900)
    else:
        document["messages"] = [{"role": "user", "content": "x" * random.randint(0, 900)}]
    return path, document


async def opened(folder: Path, unit: str) -> tuple[AccountGate, Book, list[UsageRow], Database]:
    """Return a gate whose one key has a budget."""
    database = Database.open(f"sqlite:///{folder / 'a.db'}")
    await upgrade(database)
    limit = Budget("key", "k", unit, "day", Decimal(LIMITS[unit]))  # type: ignore[arg-type]
    await apply_declared(database, Declared([], {"k": (hash_key("s" * 30), NewKey("k"))}, [limit]))
    book, rows, table = Book(database), [], ModelTable(MODELS)
    await book.refresh()
    ledger = Ledger(
        book, Slices(database, "r"), PRICES, table, rows.append, AccountMetrics(CollectorRegistry()), "r"
    )  # type: ignore[arg-type]
    return AccountGate(ledger), book, rows, database


def spent(rows: list[UsageRow], unit: str) -> int:
    """Return what was written down, in the unit's whole numbers."""
    usage = [r for r in rows if isinstance(r, UsageRow)]
    if unit == "requests":
        return len(usage)
    return sum(r.cost_nano if unit == "money" else r.prompt_tokens + r.completion_tokens for r in usage)


@pytest.mark.parametrize(
    ("bounds", "most"),
    [({}, 1024), ({"n": 2}, 1024), ({"max_tokens": 7}, 7), ({"max_completion_tokens": 9000}, 9000)],
)
async def test_a_provider_is_sent_the_bound_that_was_set_aside(
    tmp_path: Path, bounds: dict[str, Any], most: int
) -> None:
    """Also one whose API wants a bound where the request names none; without a budget it is a longer one."""
    gate, book, _, database = await opened(tmp_path, "requests")
    document = {"model": MODELS[0].name, "messages": [{"role": "user", "content": "x"}], **bounds}
    exchange = Exchange({"method": "POST", "path": CHAT, "headers": []}, None, None)  # type: ignore[arg-type]
    exchange.key = book.find("s" * 30)
    exchange.guess = estimate(CHAT, document, 100)
    await gate.admit(exchange, Asked(MODELS[0], document))
    told = {**sent(MODELS[0], CHAT, document)[0], "n": 1}
    assert messages_request(told, exchange.set_aside)["max_tokens"] == most
    assert messages_request(told)["max_tokens"] == (4096 if most == 1024 else most)
    await database.close()


@pytest.mark.parametrize("unit", LIMITS)
@pytest.mark.parametrize("seed", range(6))
async def test_no_more_is_spent_than_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str, seed: int
) -> None:
    """Random requests, several under way at once, answered by the model or a fallback, ended in every way."""
    # What is served while the database is slow comes on top, and is another test's.
    monkeypatch.setattr(slices, "_LEASE_SECONDS", 120.0)
    random = Random(seed)  # noqa: S311 - a repeatable trial, no secret
    gate, book, rows, database = await opened(tmp_path, unit)
    key = book.find("s" * 30)
    under_way, refusals, lowered = [], set(), 0
    for _ in range(400):
        path, document = request(random)
        check_fields(document)
        exchange = Exchange({"method": "POST", "path": path, "headers": []}, None, None)  # type: ignore[arg-type]
        exchange.key = key
        model = next(m for m in MODELS if m.name == document["model"])
        exchange.model = exchange.asked_model = model.name
        exchange.guess = estimate(path, document, len(json.dumps(document)))
        try:
            await gate.admit(exchange, Asked(model, document))
        except Refusal as refusal:
            refusals.add(refusal.status)
        else:
            under_way.append((exchange, model, path, document))
            lowered += bool(exchange.more_headers)
        if len(under_way) >= random.randint(1, 6):
            end(gate, random, *under_way.pop(random.randrange(len(under_way))))
    for one in under_way:
        end(gate, random, *one)
    limit = int(LIMITS[unit] * 10**9) if unit == "money" else int(LIMITS[unit])
    assert spent(rows, unit) <= limit
    assert spent(rows, unit) > limit // 3
    assert bool(lowered) == (unit != "requests")
    assert refusals == {429}
    assert all(s.reserved == 0 for s in gate._to.slices._slices.values())
    assert sum(s.used for s in gate._to.slices._slices.values()) == spent(rows, unit)
    await database.close()


def end(  # noqa: PLR0917 - what a request is, and how it ends
    gate: AccountGate,
    random: Random,
    exchange: Exchange,
    model: Model,
    path: str,
    document: dict[str, Any],
) -> None:
    """End a request in some way."""
    able = [m for m in MODELS if m.name in model.fallbacks and gate.may_use(exchange, m.name)]
    answering = random.choice([model, *able])
    exchange.model = answering.name
    engine = Engine(random)
    real = engine.answer(answering, path, document, exchange.guess)
    way = random.choice(["counted", "uncounted", "left", "left before a byte", "failed", "broke off"])
    engine.frames = real.completion if way == "uncounted" else random.randint(0, real.completion)
    if way == "counted":
        engine.told = Counted(real.prompt, real.completion)
    usage = {
        "failed": Usage(),
        "left before a byte": Usage(exchange.guess.prompt, 0, estimated=True),
    }.get(way) or used(exchange.guess, engine)  # type: ignore[arg-type]
    status = {"failed": 502, "left before a byte": 0}.get(way, 200)
    outcome: Any = (
        "failed" if way in ("failed", "broke off") else "done" if "counted" in way else "client_left"
    )
    gate.settle(exchange, Record("k", answering.name, path, status, outcome, 0.1, None, usage))
    assert usage.prompt + usage.completion <= exchange.guess.prompt + exchange.guess.completion
