"""Rates, prices and estimates: the numbers that decide about a request."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from aiplat.services.bounds import REMEMBERED
from aiplat.services.gateway.accounts.prices import PriceList, TokenPrice
from aiplat.services.gateway.accounts.rate_limits import RateLimits
from aiplat.services.gateway.requests.auth import ApiKey
from aiplat.services.gateway.requests.estimate import ANSWER_TOKENS, IMAGE_TOKENS, estimate
from aiplat.services.gateway.requests.usage import TokenUsage

NAME = ("key", "k", "requests")


class Clock:
    """A clock that only moves when told to."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_bucket_lets_a_minutes_worth_through_and_then_one_by_one() -> None:
    """And says how long to wait, which is then enough."""
    clock = Clock()
    rates = RateLimits(clock)
    assert [rates.take(NAME, 6) for _ in range(7)] == [0, 0, 0, 0, 0, 0, 10]
    clock.now += 10
    assert [rates.take(NAME, 6), rates.take(NAME, 6)] == [0, 10]
    clock.now += 3600
    assert sum(rates.take(NAME, 6) == 0 for _ in range(20)) == 6


def test_tokens_are_paid_for_afterwards() -> None:
    """A large answer is a debt that the next requests wait for."""
    clock = Clock()
    rates = RateLimits(clock)
    assert rates.wait(NAME, 60) == 0
    rates.spend(NAME, 60, 100)
    assert rates.wait(NAME, 60) == 41
    clock.now += 41
    assert rates.wait(NAME, 60) == 0


def test_a_limit_that_was_changed_holds_at_once() -> None:
    """Raised or lowered."""
    rates = RateLimits(Clock())
    assert [rates.take(NAME, 2) for _ in range(3)] == [0, 0, 30]
    assert [rates.take(NAME, 4) for _ in range(3)] == [0, 0, 15]
    assert rates.take(NAME, 1) > 0


def test_buckets_are_forgotten_when_there_are_many() -> None:
    """What is full again says nothing; debts stay."""
    clock = Clock()
    rates = RateLimits(clock)
    rates.spend(("key", "debtor", "tokens"), 1, 1000)
    for n in range(REMEMBERED - 1):
        rates.take(("key", str(n), "requests"), 1)
    clock.now += 61
    rates.take(NAME, 1)
    assert len(rates._buckets) == 2
    assert rates.wait(("key", "debtor", "tokens"), 1) > 0


@pytest.mark.parametrize(
    ("path", "document", "answer"),
    [
        ("/v1/chat/completions", {}, ANSWER_TOKENS),
        ("/v1/chat/completions", {"max_tokens": 7}, 7),
        ("/v1/chat/completions", {"max_completion_tokens": 7, "max_tokens": 9, "n": 3}, 21),
        ("/v1/chat/completions", {"max_tokens": True, "n": "x"}, ANSWER_TOKENS),
        ("/v1/chat/completions", {"max_tokens": 10**9}, 10**9),
        ("/v1/chat/completions", {"max_tokens": -1}, ANSWER_TOKENS),
        ("/v1/chat/completions", {"max_output_tokens": 1, "options": {"num_predict": 1}}, ANSWER_TOKENS),
        ("/v1/chat/completions", {"max_tokens": 9, "n": 200}, 1800),
        ("/v1/completions", {"max_tokens": 9, "prompt": ["a", "b"], "n": 3}, 54),
        ("/v1/completions", {"max_tokens": 9, "prompt": [1, 2, 3]}, 9),
        ("/v1/completions", {"max_tokens": 9, "prompt": [[1, 2], [3]], "best_of": 2}, 36),
        ("/v1/responses", {"max_output_tokens": 8}, 8),
        ("/api/chat", {"options": {"num_predict": 9}}, 9),
        ("/api/chat", {"options": {"num_predict": -1}}, ANSWER_TOKENS),
        ("/api/chat", {"max_tokens": 1, "max_completion_tokens": 1}, ANSWER_TOKENS),
        ("/v1/responses", {"max_tokens": 1}, ANSWER_TOKENS),
        ("/v1/embeddings", {"max_tokens": 7}, 0),
    ],
)
def test_an_answer_is_guessed_by_its_limit(path: str, document: dict[str, Any], answer: int) -> None:
    """By the field that the path's engines read, for every answer asked for; the prompt by its bytes."""
    assert estimate(path, document, 300) == TokenUsage(101, answer, estimated=True)


PICTURE = "data:image/png;base64," + "A" * 3000
FAR = "https://example.com/a.png"
SEEN = IMAGE_TOKENS


@pytest.mark.parametrize(
    ("document", "prompt"),
    [
        ({"prompt": list(range(1000, 2000))}, 1000),
        ({"input": [list(range(500)), list(range(300))]}, 800),
        ({"prompt": "x", "context": list(range(700))}, 700),
        ({"prompt": "x" * 3000}, 1000),
        ({"messages": [{"content": [{"type": "image_url", "image_url": {"url": FAR}}]}]}, SEEN),
        ({"messages": [{"content": [{"type": "image_url", "image_url": {"url": PICTURE}}] * 3}]}, 3 * SEEN),
        ({"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": "A" * 9000}}]}]}, SEEN),
        ({"input": [{"content": [{"type": "input_image", "image_url": FAR}]}]}, SEEN),
        ({"input": [{"content": [{"type": "input_file", "file_url": FAR}]}]}, SEEN),
        ({"input": [{"content": [{"type": "input_file", "file_data": "A" * 9000}]}]}, 3000),
        ({"messages": [{"content": [{"type": "file", "file": {"file_data": "A" * 9000}}]}]}, 3000),
        ({"messages": [{"content": "x", "images": ["A" * 2000]}]}, SEEN),
        ({"images": ["A" * 30_000], "prompt": "x"}, SEEN),
        ({"messages": [{"content": [{"type": "text", "text": "x" * 3000}, 5, None]}, None]}, 1000),
    ],
)
def test_a_prompt_is_guessed_by_what_it_holds(document: dict[str, Any], prompt: int) -> None:
    """Ids one by one, each picture and sound at its flat rate wherever it is, all else by its bytes."""
    size = len(json.dumps(document, separators=(",", ":")))
    assert prompt <= estimate("/v1/chat/completions", document, size).prompt <= prompt + 70


def test_costs_are_exact_in_billionths() -> None:
    """Per million tokens and per request; a model without a price has the general one, or costs nothing."""
    prices = PriceList(
        {"m": TokenPrice(prompt=Decimal("0.1"), completion=Decimal("0.2"), request=Decimal("0.001"))}
    )
    assert prices.cost("m", TokenUsage(1, 1)) == 100 + 200 + 1_000_000
    assert prices.cost("other", TokenUsage(10, 10)) == 0
    assert PriceList({"*": TokenPrice(prompt=Decimal("0.0000005"))}).cost("x", TokenUsage(1)) == 0
    assert PriceList({"*": TokenPrice(prompt=Decimal("0.0000005"))}).cost("x", TokenUsage(1_000)) == 1


def test_a_scope_names_models_or_how_they_begin() -> None:
    """Every scope must agree, each under any of the model's names."""
    key = ApiKey("k", scopes=(("gemma3:*", "x"), ("gemma3:270m",)))
    assert key.allows(("gemma3:270m",))
    assert key.allows(("canonical", "gemma3:270m"))
    assert not key.allows(("gemma3:1b",))
    assert not key.allows(("x",))
    assert ApiKey("k").allows(("anything",))
    assert not ApiKey("k", scopes=(("gemma3",),)).allows(("gemma3:270m",))
