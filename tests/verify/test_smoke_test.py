"""What a model is asked suits the model, and its answer is read from where engines put it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from aiplat.catalog.catalog import load_catalog
from aiplat.verify.smoke_test import CHAT, COMPLETION, Question, ask, question_for
from tests.services.gateway.engine import Engine


@pytest.mark.parametrize(
    ("name", "question"),
    [("smollm2:135m", CHAT), ("gemma3:270m-base-q4_k_m", COMPLETION), ("nomic-embed-text:v1.5", None)],
)
def test_the_question_suits_the_model(name: str, question: Question | None) -> None:
    """Chat models are asked, base models continue, embedding models are left alone."""
    model = load_catalog().model(name, "ollama")
    assert model is not None
    assert question_for(model) == question


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine on loopback."""
    with Engine() as engine:
        yield engine


@pytest.mark.parametrize(
    ("question", "path"), [(CHAT, "/v1/chat/completions"), (COMPLETION, "/v1/completions")]
)
def test_the_same_answer_is_asked_for_each_time(engine: Engine, question: Question, path: str) -> None:
    """Temperature 0, a fixed seed, and no more tokens than the answer needs."""
    with httpx.Client(base_url=engine.url) as client:
        said = ask(client, "m", question, 60)
    assert said == " 5, 6, 7"
    assert question.answered_by(said) == (question is COMPLETION)
    (body,) = engine.asked(path)
    assert (body["temperature"], body["seed"], body["max_tokens"]) == (0, 1, question.tokens)
    assert question.prompt in json.dumps(body)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "It is Rome."}, "It is Rome."),
        ({"content": "", "reasoning": "Italy's capital is Rome"}, "Italy's capital is Rome"),
        ({"content": None}, ""),
    ],
)
def test_thoughts_count_where_the_answer_did_not_come_in_time(message: dict[str, Any], text: str) -> None:
    """A model that thinks aloud may spend its tokens on that."""
    document = {"choices": [{"message": message}]}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=document))
    with httpx.Client(base_url="http://engine", transport=transport) as client:
        assert ask(client, "m", CHAT, 60) == text


@pytest.mark.parametrize("document", [{}, {"choices": []}, {"choices": [{"message": None}]}, []])
def test_an_answer_without_a_text_is_said(document: object) -> None:
    """Whatever came instead."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=document))
    with (
        httpx.Client(base_url="http://engine", transport=transport) as client,
        pytest.raises(ValueError, match="answered without a text"),
    ):
        ask(client, "m", CHAT, 60)
