"""The smoke test of a model: one question with one right answer, asked in the way that suits the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import httpx

from aiplat.catalog.components import CatalogModel


@dataclass(frozen=True)
class Question:
    """What a model is asked, and what a right answer contains; `tokens` is the longest answer."""

    mode: Literal["chat", "completion"]
    prompt: str
    contains: str
    tokens: int

    def answered_by(self, text: str) -> bool:
        """Whether `text` is a right answer."""
        return self.contains in text


# Why these two is said in docs/adr/0011. Models that think aloud need more tokens than the answer has.
CHAT = Question("chat", "What is the capital of Italy?", "Rome", 64)
COMPLETION = Question("completion", "1, 2, 3, 4,", "5, 6, 7", 12)


def question_for(model: CatalogModel) -> Question | None:
    """Return what a model is asked; None for one that writes no text, as embedding models do."""
    if "chat" in model.features:
        return CHAT
    return COMPLETION if "completion" in model.features else None


def ask(client: httpx.Client, model: str, question: Question, seconds: float) -> str:
    """Return what a model answers within `seconds`; `client` sends its paths to the platform's URL.

    Raises:
        httpx.HTTPError: the platform cannot be reached, or refuses.
        ValueError: what came is not an answer.
    """
    body = {"model": model, "max_tokens": question.tokens, "temperature": 0, "seed": 1}
    if question.mode == "chat":
        body["messages"] = [{"role": "user", "content": question.prompt}]
        path = "/v1/chat/completions"
    else:
        body["prompt"] = question.prompt
        path = "/v1/completions"
    reply = client.post(path, json=body, timeout=seconds).raise_for_status()
    try:
        return _text(reply.json()["choices"][0])
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"{path} answered without a text") from error


def _text(choice: dict[str, Any]) -> str:
    if "text" in choice:
        return str(choice["text"])
    said = choice["message"]
    # A model that thinks aloud may still be at it when its tokens are spent.
    return str(said.get("content") or said.get("reasoning") or "")
