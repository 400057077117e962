"""Reads usage off an answer while it streams past, holding at most one frame, and leaves all else alone."""

from __future__ import annotations

import re
from typing import Any, Protocol

from aiplat.services.bounds import LOOK_BYTES
from aiplat.services.gateway.http.bodies import json_in
from aiplat.services.gateway.http.bodies import written as json_of
from aiplat.services.gateway.http.errors import ApiError, named, ollama_body, openai_body
from aiplat.services.gateway.http.frames import FrameBuffer, around, payload
from aiplat.services.gateway.requests.counts import TokenCounts, UsageScan, counted, last_fields, usage_in

_HAS_USAGE = re.compile(rb'"usage"\s*:\s*\{')
# A text that says so has its quotation marks escaped.
_ERROR = b'"error"'
_ERROR_LINE = b'{"error"'
_KEPT = 16 << 10
_BYTES_PER_TOKEN = 4


class StreamParser(Protocol):
    """Sees every piece of an answer and says what passes on to the client.

    `rewrites` says that the length of what passes on differs from what came; `whole` that nothing passes on
    before the end, so that an answer that turns out to be none can still be told by its status. With `events`
    it reads events and nothing else, and writes events.
    """

    events: bool

    @property
    def rewrites(self) -> bool:
        """Whether the answer is changed on its way."""

    @property
    def whole(self) -> bool:
        """Whether everything is said at the end."""

    def feed(self, piece: bytes) -> bytes:
        """Take a piece as it came; return what to send now (may be empty)."""

    def finish(self) -> bytes:
        """Return what is still held when the answer has ended."""

    def broken(self, error: ApiError) -> bytes:
        """Return what tells a client whose stream has begun that the rest will not come."""

    def counted(self) -> TokenCounts | None:
        """Return the engine's own counts as far as they were seen."""

    def written(self) -> int:
        """Return about how many tokens have passed, for an answer that was not counted."""


class SseParser:
    """Server-sent events of OpenAI's API. Frames pass 1:1; with `strip`, usage is taken out of them.

    A frame without `choices` is then left out whole: it exists because the gateway asked for usage.
    """

    rewrites = False
    whole = False
    events = False

    def __init__(self, strip: bool) -> None:
        self._strip = strip
        self._buffer = FrameBuffer()
        self._scan = UsageScan()
        self._long = False
        self._frames = 0
        self._counted: TokenCounts | None = None

    def feed(self, piece: bytes) -> bytes:
        """Return the whole frames that `piece` completes; a frame that is too long passes as it comes."""
        whole = self._buffer.feed(piece)
        if self._long and whole:
            self._scan.feed(whole)
            self._long = False
        if _HAS_USAGE.search(whole):
            whole = self._inspect(whole)
        if _ERROR in whole:
            whole = _errors_with_ids(whole)
        self._frames += whole.count(b"data:")
        if self._buffer.size > LOOK_BYTES:
            begun = self._buffer.rest()
            self._scan.feed(begun)
            self._long = True
            return whole + begun
        return whole

    def finish(self) -> bytes:
        """Return an unfinished last frame as it is; also a whole document where a stream was asked for."""
        rest = self._buffer.rest()
        self._scan.feed(rest)
        if _HAS_USAGE.search(rest):
            rest = self._inspect(rest)
        return _errors_with_ids(rest) if _ERROR in rest and not self._long else rest

    def broken(self, error: ApiError) -> bytes:
        """Return a frame with the error, which OpenAI's clients raise."""
        return b"data: " + json_of(openai_body(error)) + b"\n\n"

    def counted(self) -> TokenCounts | None:
        """Return the engine's count."""
        return self._counted or self._scan.found

    def written(self) -> int:
        """Return the number of frames."""
        return self._frames

    def _inspect(self, whole: bytes) -> bytes:
        # Under load a piece holds dozens of frames, and one of them a usage: only that one is read.
        return b"".join(self._without_usage(f) if b'"usage"' in f else f for f in around(b'"usage"', whole))

    def _without_usage(self, frame: bytes) -> bytes:
        document = payload(frame)
        # Ollama puts a usage of zeros into every frame of a completion before the real one.
        self._counted = usage_in(document) or self._counted
        if not self._strip or not isinstance(document.get("usage"), dict):
            return frame
        if not document.get("choices") and "error" not in document:
            return b""
        del document["usage"]
        return _with_data(frame, document)


class DocumentParser:
    """Whole JSON documents of OpenAI's API; `writes` says whether their length tells of generated tokens."""

    rewrites = False
    whole = False
    events = False

    def __init__(self, writes: bool = True) -> None:
        self._writes = writes
        self._kept: list[bytes] | None = []
        self._size = 0
        self._scan = UsageScan()

    def feed(self, piece: bytes) -> bytes:
        """Return `piece` as it came."""
        self._size += len(piece)
        if self._kept is not None:
            self._kept.append(piece)
            if self._size <= _KEPT:
                return piece
            kept, self._kept = self._kept, None
            self._scan.feed(b"".join(kept))
        else:
            self._scan.feed(piece)
        return piece

    def finish(self) -> bytes:
        """Nothing is ever held back."""
        return b""

    def broken(self, error: ApiError) -> bytes:
        """Return the error as a document."""
        return json_of(openai_body(error))

    def counted(self) -> TokenCounts | None:
        """Return the usage in the document, wherever it stands."""
        if self._kept is None:
            return self._scan.found
        return usage_in(_document(b"".join(self._kept)))

    def written(self) -> int:
        """Return a token for every few bytes."""
        return self._size // _BYTES_PER_TOKEN if self._writes else 0


class JsonLinesParser:
    """Ollama's documents and JSON lines: counts are fields of the last line itself, not of what is in it."""

    rewrites = False
    whole = False
    events = False

    def __init__(self, writes: bool = True) -> None:
        self._writes = writes
        self._line = b""
        self._cut = False
        self._lines = 0
        self._counted: TokenCounts | None = None

    def feed(self, piece: bytes) -> bytes:
        """Return `piece` as it came, unless it is a line of its own that says what went wrong."""
        if piece.startswith(_ERROR_LINE) and not self._line and piece.count(b"\n") == 1:
            piece = _line_with_ids(piece)
        end = piece.rfind(b"\n")
        if end < 0:
            self._hold(piece)
            return piece
        self._lines += piece.count(b"\n")
        first, *others = (self._line + piece[:end]).split(b"\n")
        self._read(first)
        self._line, self._cut = b"", False
        for line in others:
            self._read(line)
        self._hold(piece[end + 1 :])
        return piece

    def _hold(self, piece: bytes) -> None:
        self._line += piece
        if len(self._line) > LOOK_BYTES:
            self._line, self._cut = self._line[-LOOK_BYTES:], True

    def _read(self, line: bytes) -> None:
        if b"eval_count" in line:
            self._counted = counted(last_fields(line) if self._cut else _document(line)) or self._counted

    def finish(self) -> bytes:
        """Nothing is ever held back."""
        self._read(self._line)
        self._lines += bool(self._line)
        return b""

    def broken(self, error: ApiError) -> bytes:
        """Return a line with the error, which Ollama's clients raise."""
        return json_of(ollama_body(error)) + b"\n"

    def counted(self) -> TokenCounts | None:
        """Return the counts of the last line that had some."""
        return self._counted

    def written(self) -> int:
        """Return the number of lines."""
        return self._lines if self._writes else 0


def _errors_with_ids(whole: bytes) -> bytes:
    return b"".join(_with_ids(f) if _ERROR in f else f for f in around(_ERROR, whole))


def _with_ids(frame: bytes) -> bytes:
    document = payload(frame)
    return _with_data(frame, named(document)) if document.get("error") else frame


def _line_with_ids(line: bytes) -> bytes:
    document = _document(line)
    return json_of(named(document)) + b"\n" if isinstance(document, dict) else line


def _with_data(frame: bytes, document: dict[str, Any]) -> bytes:
    others = b"".join(li + b"\n" for li in frame.splitlines() if li and not li.startswith(b"data"))
    return others + b"data: " + json_of(document) + b"\n\n"


def _document(data: bytes) -> Any:
    try:
        return json_in(data)
    except (ValueError, RecursionError):
        return None
