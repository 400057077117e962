"""How much a request may use, guessed before it is answered, so that a budget can set it aside."""

from __future__ import annotations

from typing import Any

from aiplat.services.gateway.usage import Usage

# What is set aside for an answer whose request names no limit.
ANSWER_TOKENS = 1024
_MOST_PROMPT = 131_072
_MOST_ANSWER = 131_072
_BYTES_PER_TOKEN = 3
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_NO_ANSWER = ("/v1/embeddings", "/api/embed", "/api/embeddings", "/api/show")


def estimate(path: str, document: dict[str, Any], size: int) -> Usage:
    """Return what a request of `size` bytes may use: its prompt by its bytes, its answer by its limit."""
    prompt = 0 if path == "/api/show" else min(size // _BYTES_PER_TOKEN + 1, _MOST_PROMPT)
    if path in _NO_ANSWER:
        return Usage(prompt, 0, estimated=True)
    return Usage(prompt, min(_answer(document), _MOST_ANSWER), estimated=True)


def _answer(document: dict[str, Any]) -> int:
    options = document.get("options")
    found = [document.get(name) for name in _LIMITS]
    found.append(options.get("num_predict") if isinstance(options, dict) else None)
    limit = next((n for n in found if type(n) is int and n > 0), ANSWER_TOKENS)
    choices = document.get("n")
    return limit * (choices if type(choices) is int and 0 < choices <= 128 else 1)
