"""The fields of a request that the gateway decides by: one spelling, one type; what they ask for at most."""

from __future__ import annotations

from typing import Any

from aiplat.services.bounds import MOST_COUNT, PROMPTS
from aiplat.services.gateway.http import errors

CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
# The field that bounds an answer, by path. What a path does not know bounds nothing there.
_BOUNDS = {
    CHAT: ("max_completion_tokens", "max_tokens"),
    COMPLETIONS: ("max_tokens", "max_completion_tokens"),
    RESPONSES: ("max_output_tokens",),
}
_WHOLE = ("max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of")
_DECIDED = frozenset(
    {
        *(
            "model",
            "name",
            "stream",
            "stream_options",
            "options",
            "keep_alive",
            "messages",
            "prompt",
            "input",
        ),
        *("tools", "tool_choice", "instructions", "include_usage", "num_predict", "fallbacks", *_WHOLE),
    }
)
_OBJECTS = ("options", "stream_options")


def check_fields(document: dict[str, Any]) -> None:
    """Refuse what an engine could understand otherwise than the gateway does.

    Engines written in Go take a key in any case, and the last of several; others take 1 for true.

    Raises:
        ApiError: 400.
    """
    _check_spelling(document)
    for name in _OBJECTS:
        inner = document.get(name)
        if inner is None:
            continue
        if isinstance(inner, dict):
            _check_spelling(inner)
        else:
            raise errors.bad_request(f"{name} must be an object", param=name)
    if document.get("stream") not in (None, True, False) or type(document.get("stream")) in (int, float):
        raise errors.bad_request("stream must be true or false", param="stream")
    for name in _WHOLE:
        if name in document:
            _check_whole(document, name)
    if document.get("options"):
        _check_whole(document["options"], "num_predict")


def _check_spelling(document: dict[str, Any]) -> None:
    if set(map(str.casefold, document)) == document.keys():
        return
    seen: set[str] = set()
    for name in document:
        folded = name.casefold()
        if folded in seen or (folded != name and folded in _DECIDED):
            shown = folded if folded in _DECIDED else name[:64]
            raise errors.bad_request(f"write {shown!r} in small letters and once", param=shown)
        seen.add(folded)


def _check_whole(document: dict[str, Any], name: str) -> None:
    value = document.get(name)
    if value is None:
        return
    if type(value) is float and value.is_integer():
        value = document[name] = int(value)
    if type(value) is not int:
        raise errors.bad_request(f"{name} must be a whole number", param=name)
    if value > MOST_COUNT:
        raise errors.bad_request(f"{name} must be at most {MOST_COUNT}", param=name)


def bound(path: str, document: dict[str, Any]) -> int | None:
    """Return how many tokens one answer may have, as the path's engines read it; None where it is not said.

    A number below one is how some clients say "no limit".
    """
    if path.startswith("/api/"):
        options = document.get("options")
        return _positive(options.get("num_predict")) or None if isinstance(options, dict) else None
    least = 0
    for name in _BOUNDS.get(path, ()):
        # Asked of every request several times: `_positive`, written out.
        value = document.get(name)
        if type(value) is int and value > 0 and (not least or value < least):
            least = value
    return least or None


def lower(path: str, document: dict[str, Any], most: int) -> None:
    """Bound each answer of a request to `most` tokens, by the words that `bound` reads."""
    if path.startswith("/api/"):
        document["options"] = {**(document.get("options") or {}), "num_predict": most}
        return
    names = _BOUNDS.get(path, ())
    given = [name for name in names if _positive(document.get(name))]
    document.update(dict.fromkeys(given or names[:1], most))


def _positive(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


def answers(path: str, document: dict[str, Any]) -> int:
    """Return how many answers a request asks for: one for each prompt, `n` times.

    Raises:
        ApiError: 400 for more than there may be.
    """
    if path not in (CHAT, COMPLETIONS):
        return 1
    prompts = document.get("prompt") if path == COMPLETIONS else None
    # A list of numbers is one prompt, as tokens.
    several = isinstance(prompts, list) and prompts and not isinstance(prompts[0], int)
    count = len(prompts or ()) if several else 1
    if "n" in document or "best_of" in document:
        count *= max(1, _positive(document.get("n")), _positive(document.get("best_of")))
    if count > PROMPTS:
        raise errors.bad_request(f"a request may ask for {PROMPTS} answers at most", param="n")
    return count
