"""Request bodies: unpacked, understood and weighed within limits; what fields mean is in requests.fields."""

from __future__ import annotations

import json
import re
from math import isinf
from sys import getsizeof
from typing import Any, NamedTuple

from jiter import from_json
from pydantic_core import to_json

from aiplat.services.bounds import JSON_DEPTH, JSON_VALUES, SMALL_BYTES
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.http.encodings import Unpacker, WrongEncoding, encodings_of

# A value's own cost in memory beside its text.
_VALUE_BYTES = 100
_STRING = re.compile(rb'"(?:[^"\\]+|\\.)*"', re.DOTALL)
_BACKSLASH = ord("\\")
_QUOTES_SEEN = 64
_SURROGATE = re.compile("[\ud800-\udfff]")


class Memory:
    """How many bytes requests may hold: one of them, all of one key, all together.

    What a request holds is counted as it lies in memory, first as sent, then as understood. Of each, the
    first SMALL_BYTES are outside of the count: there is always room for a small one, because there
    are only so many connections.
    """

    def __init__(self, each: int, together: int) -> None:
        self.each = each
        self.together = together
        self.share = max(2 * each, together // 2)
        self.held = 0
        self.by_key: dict[str, int] = {}

    def hold(self, key: str, before: int, after: int) -> None:
        """Count a request of `key` that held `before` bytes and now holds `after`.

        Raises:
            ApiError: 429 when its key holds too much, 503 when all together do; it then holds what it did.
        """
        more = max(0, after - SMALL_BYTES) - max(0, before - SMALL_BYTES)
        if not more:
            return
        own = self.by_key.get(key, 0) + more
        if more > 0 and own > self.share:
            raise errors.key_is_busy()
        if more > 0 and self.held + more > self.together:
            raise errors.busy()
        self.held += more
        if own:
            self.by_key[key] = own
        else:
            self.by_key.pop(key, None)


class Unpacked:
    """Takes a body piece by piece and holds it unpacked.

    Raises:
        ApiError: 415 for an encoding that is not known.
    """

    def __init__(self, content_encoding: bytes, most: int) -> None:
        self._most = most
        self.size = 0
        self._pieces: list[bytes] = []
        try:
            names = encodings_of(content_encoding.decode("latin-1"))
        except WrongEncoding as error:
            raise errors.wrong_encoding(str(error)) from None
        self._unpacker = Unpacker(names) if names else None

    def take(self, piece: bytes) -> None:
        """Take a piece.

        Raises:
            ApiError: 413 for a body that is too large when unpacked, 400 for one that cannot be.
        """
        if self._unpacker is None:
            self._keep(piece)
            return
        try:
            for part in self._unpacker.feed(piece):
                self._keep(part)
        except WrongEncoding as error:
            raise errors.bad_request(f"the body is not what its content-encoding says: {error}") from None

    def _keep(self, part: bytes) -> None:
        self.size += len(part)
        if self.size > self._most:
            raise errors.too_large(self._most)
        self._pieces.append(part)

    def whole(self) -> bytes:
        """Return the body; nothing is held any more.

        Raises:
            ApiError: 400 when the end of what was packed never came.
        """
        if self._unpacker is not None and not self._unpacker.ended:
            raise errors.bad_request("the body is not what its content-encoding says: its end is missing")
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Understood(NamedTuple):
    """A body as a document, and what the request holds in memory: this, and the text that is sent on."""

    document: dict[str, Any]
    weight: int


def understood(text: bytes) -> Understood:
    """Return the JSON object that a body is: valid Unicode, each key once, no more values than there may be.

    Raises:
        ApiError: 400 or 413.
    """
    if len(text) > JSON_VALUES and too_many_values(text):
        raise errors.too_many_values(JSON_VALUES)
    try:
        document = from_json(text, allow_inf_nan=False, cache_mode="keys", catch_duplicate_keys=True)
    except ValueError:
        # It is refused below with a sentence of its own, or has what only the slower reader mends.
        return _mended(text)
    weight = _weight(document, len(text)) if isinstance(document, dict) else None
    return _mended(text) if weight is None else Understood(document, weight)


def _mended(text: bytes) -> Understood:
    """Return the same, where half characters may have to be replaced or there is something to refuse."""
    try:
        document = json.loads(
            text.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_number,
        )
    except UnicodeDecodeError as error:
        raise errors.bad_request(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise errors.too_deep(JSON_DEPTH) from None
    except ValueError as error:
        raise errors.bad_request(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise errors.bad_request("the body must be a JSON object")
    weight = _weight(document, len(text))
    if weight is None:
        raise errors.too_deep(JSON_DEPTH)
    return Understood(_valid_text(document), weight)


def _weight(document: dict[str, Any], size: int) -> int | None:
    """Return what a document of `size` bytes holds; None for one too deep, or with too large a number."""
    level: list[Any] = [document]
    for _ in range(JSON_DEPTH):
        inner: list[Any] = []
        for outer in level:
            size += _VALUE_BYTES * len(outer)
            if type(outer) is dict:
                # A text with one character beyond Latin-1 is kept in two or four bytes for each of them.
                size += _VALUE_BYTES * len(outer) + sum(map(getsizeof, outer))
                outer = outer.values()  # noqa: PLW2901 - from here on both kinds are one
            for item in outer:
                kind = type(item)
                if kind is str:
                    size += getsizeof(item)
                elif kind is dict or kind is list:
                    inner.append(item)
                elif kind is float and isinf(item):
                    return None
        if not inner:
            return size
        level = inner
    return None


def json_in(text: bytes) -> Any:
    """Return the JSON that an upstream's text is, which need not be as strict as a client's.

    Raises:
        ValueError, RecursionError: it is none, or nested too deeply.
    """
    try:
        return from_json(text, cache_mode="keys")
    except ValueError:
        # Half characters, as some engines write the two halves of one in two events; or no JSON at all.
        return json.loads(text)


def too_many_values(text: bytes) -> bool:
    """Whether a document has more values than are read; marks that stand in texts are none."""
    if len(text) <= JSON_VALUES or _room_between_texts(text) <= JSON_VALUES:
        return False
    return _marks(text) > JSON_VALUES and _marks(_STRING.sub(b"", text)) > JSON_VALUES


def _room_between_texts(text: bytes) -> int:
    """Return how many bytes of a document at most are not in texts, as far as its first few texts tell.

    Where a prompt is one long text, that shows at once that there is no room for many values.
    """
    outside, begin, inside = 0, 0, False
    for _ in range(_QUOTES_SEEN):
        quote = text.find(b'"', begin)
        if quote < 0:
            break
        if not inside:
            outside += quote - begin
            inside = True
        elif text[quote - 1] != _BACKSLASH or not _escaped(text[begin:quote]):
            inside = False
        begin = quote + 1
    return outside + len(text) - begin


def _escaped(before: bytes) -> bool:
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


def _marks(text: bytes) -> int:
    return len(text) - len(text.translate(None, b",:[{"))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:64]!r} is there twice")
    return document


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _number(digits: str) -> float:
    # 1e999 would be sent on as `Infinity`, which is not JSON.
    if isinf(number := float(digits)):
        raise ValueError(f"the number {digits[:64]} is too large")
    return number


def _valid_text(value: Any) -> Any:
    """Return a value whose half characters (lone surrogates) are replaced."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_valid_text(item) for item in value]
    if isinstance(value, dict):
        return {_valid_text(name): _valid_text(item) for name, item in value.items()}
    return value


def written(document: Any) -> bytes:
    """Return a document as JSON; a half character is replaced, wherever it comes from."""
    try:
        return to_json(document)
    except ValueError:
        # Half a character, or lists deeper than that writer goes.
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return _SURROGATE.sub("\ufffd", text).encode()
