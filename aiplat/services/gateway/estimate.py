"""How much a request may use, guessed before it is answered: set aside of budgets, and charged uncounted."""

from __future__ import annotations

from typing import Any

from aiplat.services.bounds import MOST_COUNT
from aiplat.services.gateway.fields import answers, bound
from aiplat.services.gateway.usage import Usage

# What is set aside for an answer whose request names no limit.
ANSWER_TOKENS = 1024
BYTES_PER_TOKEN = 3
# What a picture comes to, at most, whatever its size.
IMAGE_TOKENS = 2048
_MOST_PROMPT = 1 << 20
_NO_ANSWER = ("/v1/embeddings", "/api/embed", "/api/embeddings", "/api/show")
_PICTURES_FROM = 16 << 10


def estimate(path: str, document: dict[str, Any], size: int) -> Usage:
    """Return what a request of `size` bytes may use: its prompt by its bytes, its answer by its limit.

    Raises:
        Refusal: 400 for more answers than one request may ask for.
    """
    prompt = 0 if path == "/api/show" else min(_prompt(document, size), _MOST_PROMPT)
    if path in _NO_ANSWER:
        return Usage(prompt, 0, estimated=True)
    wanted = answers(path, document) * (bound(path, document) or ANSWER_TOKENS)
    return Usage(prompt, min(wanted, MOST_COUNT), estimated=True)


def _prompt(document: dict[str, Any], size: int) -> int:
    if size < _PICTURES_FROM:
        return size // BYTES_PER_TOKEN + 1
    pictures = list(_pictures(document))
    return max(0, size - sum(pictures)) // BYTES_PER_TOKEN + 1 + len(pictures) * IMAGE_TOKENS


def _pictures(document: dict[str, Any]) -> list[int]:
    """Return the sizes of the pictures and sounds that are in a request as text."""
    found = [len(p) for p in _listed(document, "images") if isinstance(p, str)]
    for message in [*_listed(document, "messages"), *_listed(document, "input")]:
        if not isinstance(message, dict):
            continue
        found += [len(p) for p in _listed(message, "images") if isinstance(p, str)]
        found += [size for part in _listed(message, "content") if (size := _of_part(part))]
    return found


def _of_part(part: Any) -> int:
    if not isinstance(part, dict):
        return 0
    given = part.get("image_url") or part.get("input_audio") or part.get("file_data")
    if isinstance(given, dict):
        given = given.get("url") or given.get("data")
    return len(given) if isinstance(given, str) and (given.startswith("data:") or len(given) > 4096) else 0


def _listed(document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else []
