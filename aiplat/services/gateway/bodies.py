"""Request bodies: unpacked, understood and weighed within limits; what the fields mean is for asked."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import isinf
from typing import Any

from pydantic_core import to_json

from aiplat.services.bounds import JSON_DEPTH, JSON_VALUES, SMALL_BYTES
from aiplat.services.gateway import refusals
from aiplat.services.gateway.encodings import Unpacker, WrongEncoding, encodings_of

# A value's own cost in memory beside its text.
_VALUE_BYTES = 100
_STRING = re.compile(rb'"(?:[^"\\]+|\\.)*"', re.DOTALL)
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
            Refusal: 429 when its key holds too much, 503 when all together do; it then holds what it did.
        """
        more = max(0, after - SMALL_BYTES) - max(0, before - SMALL_BYTES)
        if not more:
            return
        own = self.by_key.get(key, 0) + more
        if more > 0 and own > self.share:
            raise refusals.key_is_busy()
        if more > 0 and self.held + more > self.together:
            raise refusals.busy()
        self.held += more
        if own:
            self.by_key[key] = own
        else:
            self.by_key.pop(key, None)


class Unpacked:
    """Takes a body piece by piece and holds it unpacked.

    Raises:
        Refusal: 415 for an encoding that is not known.
    """

    def __init__(self, content_encoding: bytes, most: int) -> None:
        self._most = most
        self.size = 0
        self._pieces: list[bytes] = []
        try:
            names = encodings_of(content_encoding.decode("latin-1"))
        except WrongEncoding as error:
            raise refusals.wrong_encoding(str(error)) from None
        self._unpacker = Unpacker(names) if names else None

    def take(self, piece: bytes) -> None:
        """Take a piece.

        Raises:
            Refusal: 413 for a body that is too large when unpacked, 400 for one that cannot be.
        """
        for part in self._parts(piece):
            self.size += len(part)
            if self.size > self._most:
                raise refusals.too_large(self._most)
            self._pieces.append(part)

    def _parts(self, piece: bytes) -> Iterator[bytes]:
        if self._unpacker is None:
            yield piece
            return
        try:
            yield from self._unpacker.feed(piece)
        except WrongEncoding as error:
            raise refusals.bad_request(f"the body is not what its content-encoding says: {error}") from None

    def whole(self) -> bytes:
        """Return the body; nothing is held any more.

        Raises:
            Refusal: 400 when the end of what was packed never came.
        """
        if self._unpacker is not None and not self._unpacker.ended:
            raise refusals.bad_request("the body is not what its content-encoding says: its end is missing")
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@dataclass(frozen=True, slots=True)
class Raw:
    """A body as bytes, and what one look at it showed: how many marks, and whether characters are escaped."""

    text: bytes
    marks: int
    escapes: bool

    @classmethod
    def of(cls, text: bytes) -> Raw:
        """Look at a body."""
        # For one byte C has an instruction; only where that is there is it worth to look for two.
        return cls(text, _marks(text), b"\\" in text and b"\\u" in text)


def weight(raw: Raw, document: dict[str, Any]) -> int:
    """Return what a request holds in memory: its document, and once more the text that is sent on."""
    size, values = len(raw.text), min(JSON_VALUES, raw.marks) * _VALUE_BYTES
    if raw.text.isascii() and not raw.escapes:
        return 2 * size + values
    # A text with one character beyond Latin-1 is kept in two or four bytes for each of them.
    return size + _texts(document) + values


def _texts(document: dict[str, Any]) -> int:
    total, waiting = 0, [document]
    while waiting:
        value: Any = waiting.pop()
        if type(value) is str:
            total += sys.getsizeof(value)
        elif type(value) is dict:
            waiting.extend(value.values())
        elif type(value) is list:
            waiting.extend(value)
    return total


def _marks(text: bytes) -> int:
    return len(text) - len(text.translate(None, b",:[{"))


def understood(raw: Raw) -> dict[str, Any]:
    """Return the JSON object that a body is: valid Unicode, each key once, no more values than there may be.

    Raises:
        Refusal: 400 or 413.
    """
    if raw.marks > JSON_VALUES and too_many_values(raw.text):
        raise refusals.too_many_values(JSON_VALUES)
    text = raw.text
    try:
        document = json.loads(
            text.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_number,
        )
    except UnicodeDecodeError as error:
        raise refusals.bad_request(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise refusals.too_deep(JSON_DEPTH) from None
    except ValueError as error:
        raise refusals.bad_request(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise refusals.bad_request("the body must be a JSON object")
    if raw.marks > JSON_DEPTH and text.count(b"[") + text.count(b"{") > JSON_DEPTH:
        _check_depth(document)
    return _valid_text(document) if raw.escapes and (b"\\ud" in text or b"\\uD" in text) else document


def _check_depth(document: dict[str, Any]) -> None:
    if deeper_than(document, JSON_DEPTH):
        raise refusals.too_deep(JSON_DEPTH)


def too_many_values(text: bytes) -> bool:
    """Whether a document has more values than are read; marks that stand in texts are none."""
    if len(text) <= JSON_VALUES:
        return False
    return _marks(text) > JSON_VALUES and _marks(_STRING.sub(b"", text)) > JSON_VALUES


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


def deeper_than(document: Any, depth: int) -> bool:
    """Whether lists and objects lie inside of each other deeper than `depth`."""
    level = [document]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in (dict, list)
        ]
        if not level:
            return False
    return True


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
