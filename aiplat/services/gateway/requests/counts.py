"""What an answer says it used: found anywhere in it, and believed only within reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiplat.services.bounds import MOST_COUNT

_PROMPT = ("prompt_tokens", "prompt_eval_count", "input_tokens")
_COMPLETION = ("completion_tokens", "eval_count", "output_tokens")
_WORD = b'"usage"'
_LONGEST = 4 << 10
_DEEP = 4
# Where providers put a usage that is not at the top.
_AROUND = frozenset({"choices", "x_groq", "response", "message", "delta"})
_DECODER = json.JSONDecoder()


class TokenCounts(NamedTuple):
    """Tokens as an engine counted them; None for a count that it did not give, or none that is believed."""

    prompt: int | None = None
    completion: int | None = None


def number_of(usage: dict[str, Any], name: str) -> int:
    """Return a count of a usage document, 0 where it is missing or not to be believed."""
    return _first(usage, (name,)) or 0


def counted(usage: Any) -> TokenCounts | None:
    """Return what a usage document of any API counts; None where it counts nothing."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = _first(usage, _PROMPT), _first(usage, _COMPLETION)
    return TokenCounts(prompt, completion) if prompt or completion else None


def _first(usage: dict[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        number = usage.get(name)
        if type(number) is int and 0 <= number <= MOST_COUNT:
            return number
    return None


def usage_in(document: Any) -> TokenCounts | None:
    """Return the counts of an OpenAI answer: in its `usage`, or in one further in where providers hide it."""
    # Nearly always it stands at the top.
    top = counted(document.get("usage")) if isinstance(document, dict) else None
    return top or counted(usage_document(document))


def usage_document(document: Any, depth: int = _DEEP) -> dict[str, Any] | None:
    """Return the usage document that `usage_in` reads."""
    if depth == 0 or not isinstance(document, dict):
        return None
    usage = document.get("usage")
    if isinstance(usage, dict) and counted(usage) is not None:
        return usage
    inner = (part for value in _inner(document) for part in (value if isinstance(value, list) else (value,)))
    return next((found for part in inner if (found := usage_document(part, depth - 1)) is not None), None)


def _inner(document: dict[str, Any]) -> Iterator[Any]:
    return (value for name, value in document.items() if name in _AROUND)


class UsageScan:
    """Looks for usage in an answer that passes in pieces and is too long to be kept."""

    def __init__(self) -> None:
        self.found: TokenCounts | None = None
        self._overlap = b""
        self._begun = b""

    def feed(self, piece: bytes) -> None:
        """Look through a piece."""
        window = self._overlap + piece
        if self._begun:
            self._take(self._begun + piece[: _LONGEST - len(self._begun)])
        at = window.find(_WORD)
        while at >= 0:
            self._take(window[at : at + _LONGEST])
            at = window.find(_WORD, at + 1)
        self._overlap = window[-len(_WORD) + 1 :]

    def _take(self, text: bytes) -> None:
        """Read the usage that a text begins with, or keep the text where its end is still to come."""
        self._begun = b""
        rest = text[len(_WORD) :].lstrip()
        if rest and not rest.startswith(b":"):
            return
        try:
            document, _ = _DECODER.raw_decode(rest[1:].lstrip().decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            self._begun = text if len(text) < _LONGEST else b""
        else:
            self.found = counted(document) or self.found


def last_fields(tail: bytes) -> dict[str, Any]:
    """Return the fields that a long JSON object ends with, read from its tail alone.

    Only the object's own: a text from some key on is the end of the object that has this key, and nothing
    else, where it is JSON behind an opening brace.
    """
    for name in (b'"done"', b'"total_duration"', b'"prompt_eval_count"', b'"eval_count"', _WORD):
        at = tail.rfind(name)
        if at < 0:
            continue
        try:
            document = json.loads(b"{" + tail[at:])
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            return document
    return {}
