"""How much a request may use, guessed before it is answered: set aside of budgets, and charged uncounted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiplat.services.bounds import MOST_COUNT
from aiplat.services.gateway.http.bodies import written
from aiplat.services.gateway.requests.fields import answers, bound
from aiplat.services.gateway.requests.usage import TokenUsage

# What is set aside for an answer whose request names no limit.
ANSWER_TOKENS = 1024
BYTES_PER_TOKEN = 3
# What a picture or a sound comes to, whatever its size and wherever it is; also a file that is fetched.
IMAGE_TOKENS = 2048
_MOST_PROMPT = 1 << 20
_NO_ANSWER = ("/v1/embeddings", "/api/embed", "/api/embeddings", "/api/show")
# Where a prompt may be given as tokens: numbers, each of which is one.
_IDS = ("prompt", "input", "context")
# Parts of a message that are not text.
_NOT_TEXT = ("image_url", "input_audio", "video_url", "file", "file_url", "file_id")


def estimate(path: str, document: dict[str, Any], size: int) -> TokenUsage:
    """Return what a request of `size` bytes may use: its prompt by its bytes, its answer by its limit.

    Raises:
        ApiError: 400 for more answers than one request may ask for.
    """
    prompt = 0 if path == "/api/show" else min(_prompt(document, size), _MOST_PROMPT)
    if path in _NO_ANSWER:
        return TokenUsage(prompt, 0, estimated=True)
    wanted = answers(path, document) * (bound(path, document) or ANSWER_TOKENS)
    return TokenUsage(prompt, min(wanted, MOST_COUNT), estimated=True)


def _prompt(document: dict[str, Any], size: int) -> int:
    """Return the tokens of a prompt: its pictures' and its ids', and those of all other bytes as text."""
    ids = [ids for name in _IDS if name in document for ids in _lists_of_ids(document[name])]
    inline = _inline(document)
    if not ids and not inline:
        return size // BYTES_PER_TOKEN + 1
    count = sum(map(len, ids)) + len(inline) * IMAGE_TOKENS
    text = size - sum(inline) - sum(len(written(one)) for one in ids)
    return count + max(0, text) // BYTES_PER_TOKEN + 1


def _lists_of_ids(value: Any) -> list[list[Any]]:
    """Return what is given as tokens in a prompt: one list of numbers, or several."""
    if not isinstance(value, list) or not value:
        return []
    if isinstance(value[0], list):
        return [one for one in value if isinstance(one, list) and one and isinstance(one[0], int)]
    return [value] if isinstance(value[0], int) else []


def _inline(document: dict[str, Any]) -> list[int]:
    """Return for each picture and sound how many bytes of it are in the request: 0 for an address."""
    found = _pictures(document) if "images" in document else []
    for name in ("messages", "input"):
        for message in _listed(document, name):
            if not isinstance(message, dict):
                continue
            if "images" in message:
                found += _pictures(message)
            # A plain text is what most messages are.
            if isinstance(parts := message.get("content"), list):
                found += [size for part in parts if (size := _of_part(part)) is not None]
    return found


def _pictures(holder: dict[str, Any]) -> list[int]:
    return [len(p) for p in _listed(holder, "images") if isinstance(p, str)]


def _of_part(part: Any) -> int | None:
    """Return the bytes of a part that is not text, None for one that is."""
    if not isinstance(part, dict):
        return None
    given = next((part[name] for name in _NOT_TEXT if part.get(name)), None)
    if isinstance(given, dict) and "file_data" not in given:
        given = given.get("url") or given.get("data") or ""
    if not isinstance(given, str):
        # Also a file that is sent along: it may well be text.
        return None
    # An address is short; its own bytes go with the text.
    return 0 if given.startswith(("http://", "https://")) else len(given)


def _listed(document: dict[str, Any], name: str) -> Sequence[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else ()
