"""Budgets bind: whatever is asked, whoever answers and however it ends, no more is spent than is said."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from aiplat.services.gateway.accounts import budget_leases
from aiplat.services.gateway.accounts.account_cache import AccountCache
from aiplat.services.gateway.accounts.admission import AccountsAdmission, AdmissionParts
from aiplat.services.gateway.accounts.budget_leases import BudgetLeases
from aiplat.services.gateway.accounts.metrics import AccountMetrics
from aiplat.services.gateway.accounts.prices import PriceList, TokenPrice
from aiplat.services.gateway.apis.calls import admitted_request, used
from aiplat.services.gateway.apis.responses import chat_of
from aiplat.services.gateway.http.errors import ApiError
from aiplat.services.gateway.requests.admission import ModelRequest
from aiplat.services.gateway.requests.context import RequestContext
from aiplat.services.gateway.requests.counts import TokenCounts
from aiplat.services.gateway.requests.estimate import estimate
from aiplat.services.gateway.requests.fields import CHAT, bound, check_fields
from aiplat.services.gateway.requests.usage import RequestRecord, TokenUsage
from aiplat.services.gateway.routing.models import Model, ModelTable
from aiplat.services.gateway.upstream.anthropic import messages_request
from aiplat.services.gateway.upstream.document import sent
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
PRICES = PriceList(
    {
        "cheap": TokenPrice(prompt=Decimal(1), completion=Decimal(2)),
        "dear": TokenPrice(prompt=Decimal(50), completion=Decimal(90)),
    }
)
LIMITS = {"tokens": 20_000, "money": Decimal("0.3"), "requests": 60}
UNNAMED = 1024


class Engine:
    """Answers as its kind does: it goes by the bound that its path reads of what it is sent."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.told: TokenCounts | None = None
        self.frames = 0

    def counted(self) -> TokenCounts | None:
        """Return what it says it used; nothing where nobody heard the end."""
        return self.told

    def written(self) -> int:
        """Return how many frames were seen."""
        return self.frames

    def answer(self, model: Model, path: str, document: dict[str, Any], guess: TokenUsage) -> TokenUsage:
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
        return TokenUsage(self.random.randint(0, guess.prompt), self.random.randint(0, total))


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


async def opened(folder: Path, unit: str) -> tuple[AccountsAdmission, AccountCache, list[UsageRow], Database]:
    """Return the admission of a gateway whose one key has a budget."""
    database = Database.open(f"sqlite:///{folder / 'a.db'}")
    await upgrade(database)
    limit = Budget("key", "k", unit, "day", Decimal(LIMITS[unit]))  # type: ignore[arg-type]
    await apply_declared(database, Declared([], {"k": (hash_key("s" * 30), NewKey("k"))}, [limit]))
    cache, rows, table = AccountCache(database), [], ModelTable(MODELS)
    await cache.refresh()
    parts = AdmissionParts(
        cache,
        BudgetLeases(database, "r"),
        PRICES,
        table,
        rows.append,
        AccountMetrics(CollectorRegistry()),
        "r",
    )  # type: ignore[arg-type]
    return AccountsAdmission(parts), cache, rows, database


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
    admission, cache, _, database = await opened(tmp_path, "requests")
    document = {"model": MODELS[0].name, "messages": [{"role": "user", "content": "x"}], **bounds}
    context = RequestContext({"method": "POST", "path": CHAT, "headers": []}, None, None)  # type: ignore[arg-type]
    context.key = cache.find("s" * 30)
    admitted = await admission.admit(context, MODELS[0], document, estimate(CHAT, document, 100))
    told = {**sent(MODELS[0], CHAT, document)[0], "n": 1}
    assert messages_request(told, admitted.answer_tokens)["max_tokens"] == most
    assert messages_request(told)["max_tokens"] == (4096 if most == 1024 else most)
    await database.close()


@pytest.mark.parametrize("unit", LIMITS)
@pytest.mark.parametrize("seed", range(6))
async def test_no_more_is_spent_than_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str, seed: int
) -> None:
    """Random requests, several under way at once, answered by the model or a fallback, ended in every way."""
    # What is served while the database is slow comes on top, and is another test's.
    monkeypatch.setattr(budget_leases, "_LEASE_SECONDS", 120.0)
    random = Random(seed)  # noqa: S311 - a repeatable trial, no secret
    admission, cache, rows, database = await opened(tmp_path, unit)
    key = cache.find("s" * 30)
    under_way, refusals, lowered = [], set(), 0
    for _ in range(400):
        path, document = request(random)
        check_fields(document)
        context = RequestContext({"method": "POST", "path": path, "headers": []}, None, None)  # type: ignore[arg-type]
        context.key = key
        model = next(m for m in MODELS if m.name == document["model"])
        context.model = context.asked_model = model.name
        guess = estimate(path, document, len(json.dumps(document)))
        try:
            admitted = await admission.admit(context, model, document, guess)
        except ApiError as refusal:
            refusals.add(refusal.status)
        else:
            under_way.append((context, admitted_request(context, model, document, admitted)))
            lowered += bool(context.more_headers)
        if len(under_way) >= random.randint(1, 6):
            end(random, *under_way.pop(random.randrange(len(under_way))))
    for one in under_way:
        end(random, *one)
    limit = int(LIMITS[unit] * 10**9) if unit == "money" else int(LIMITS[unit])
    assert spent(rows, unit) <= limit
    assert spent(rows, unit) > limit // 3
    assert bool(lowered) == (unit != "requests")
    assert refusals == {429}
    assert all(s.reserved == 0 for s in admission._to.leases._leased.values())
    assert sum(s.used for s in admission._to.leases._leased.values()) == spent(rows, unit)
    await database.close()


def end(random: Random, context: RequestContext, asked: ModelRequest) -> None:
    """End a request in some way."""
    model, path, document, admitted = asked.model, context.path, asked.document, asked.admitted
    able = [m for m in MODELS if m.name in model.fallbacks and admitted.covers(m.name)]
    answering = random.choice([model, *able])
    context.model = answering.name
    engine = Engine(random)
    real = engine.answer(answering, path, document, admitted.estimate)
    way = random.choice(["counted", "uncounted", "left", "left before a byte", "failed", "broke off"])
    engine.frames = real.completion if way == "uncounted" else random.randint(0, real.completion)
    if way == "counted":
        engine.told = TokenCounts(real.prompt, real.completion)
    usage = {
        "failed": TokenUsage(),
        "left before a byte": TokenUsage(admitted.estimate.prompt, 0, estimated=True),
    }.get(way) or used(admitted.estimate, engine)  # type: ignore[arg-type]
    status = {"failed": 502, "left before a byte": 0}.get(way, 200)
    outcome: Any = (
        "failed" if way in ("failed", "broke off") else "done" if "counted" in way else "client_left"
    )
    admitted.settle(RequestRecord("k", answering.name, path, status, outcome, 0.1, None, usage))
    assert usage.prompt + usage.completion <= admitted.estimate.prompt + admitted.estimate.completion
