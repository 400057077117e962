"""Cuts an event stream into its frames, however the network cut it and however lines end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from aiplat.services.bounds import FRAME_BYTES
from aiplat.services.gateway.http.bodies import json_in, too_many_values

# Lines may end in CR LF, LF or CR (HTML standard, server-sent events); an empty one ends a frame.
FRAME_END = re.compile(rb"(?>\r\n|\n|\r){2}")
_OVERLAP = 3
_BOM = b"\xef\xbb\xbf"


class FrameBuffer:
    """Holds the frame that has begun; `size` says how much of it."""

    def __init__(self) -> None:
        self.size = 0
        self._held: list[bytes] = []
        self._tail = b""

    def feed(self, piece: bytes) -> bytes:
        """Return the whole frames that `piece` completes."""
        if not self._held:
            cut = _last_end(piece)
            if cut:
                self._keep(piece[cut:])
                return piece[:cut]
            self._keep(piece)
            return b""
        window = self._tail + piece
        cut = _last_end(window) - len(self._tail)
        if cut <= 0:
            self._keep(piece)
            return b""
        whole = b"".join([*self._held, piece[:cut]])
        self._held, self._tail, self.size = [], b"", 0
        self._keep(piece[cut:])
        return whole

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._held.append(piece)
            self.size += len(piece)
            self._tail = (self._tail + piece)[-_OVERLAP:]

    def rest(self) -> bytes:
        """Return what has begun; nothing is held any more."""
        rest = b"".join(self._held)
        self._held, self._tail, self.size = [], b"", 0
        return rest


def _last_end(data: bytes) -> int:
    """Return where the last whole frame ends, 0 where none does."""
    if b"\r" not in data:
        return data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    last = 0
    for match in FRAME_END.finditer(data):
        last = match.end()
    return last


def frames(whole: bytes) -> Iterator[bytes]:
    """Yield the frames of a text that ends with a frame, each with its end."""
    begin = 0
    for match in FRAME_END.finditer(whole):
        yield whole[begin : match.end()]
        begin = match.end()
    if begin < len(whole):
        yield whole[begin:]


def around(word: bytes, whole: bytes) -> Iterator[bytes]:
    """Yield the same text in pieces, of which those with `word` in them are a frame each."""
    if b"\r" in whole:
        yield from frames(whole)
        return
    begin = 0
    while (at := whole.find(word, begin)) >= 0:
        before, after = whole.rfind(b"\n\n", begin, at), whole.find(b"\n\n", at)
        start = begin if before < 0 else before + 2
        end = len(whole) if after < 0 else after + 2
        yield whole[begin:start]
        yield whole[start:end]
        begin = end
    yield whole[begin:]


def payload(frame: bytes) -> dict[str, Any]:
    """Return the JSON object in a frame's data, an empty one where there is none."""
    lines = frame.removeprefix(_BOM).splitlines()
    data = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
    try:
        document = json_in(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def whole_document(raw: bytes) -> Any:
    """Return the JSON that a whole answer is.

    Raises:
        ValueError: it is none, or has more or more deeply nested values than are read.
    """
    if too_many_values(raw):
        raise ValueError("the answer has too many values")
    try:
        return json_in(raw)
    except RecursionError:
        raise ValueError("the answer is nested too deeply") from None


class FrameSplitter:
    """Yields the JSON documents of a stream's frames."""

    def __init__(self) -> None:
        self._buffer = FrameBuffer()

    def documents(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """Yield the documents of the frames that `piece` completes; other frames are passed over.

        Raises:
            ValueError: a frame is larger than it may be, or has too many values.
        """
        whole = self._buffer.feed(piece)
        if max(self._buffer.size, len(whole)) > FRAME_BYTES:
            raise ValueError(f"a frame of the answer is larger than {FRAME_BYTES >> 20} MiB")
        yield from self._read(whole)

    def last(self) -> Iterator[dict[str, Any]]:
        """Yield the document of a last frame that lacks its end."""
        yield from self._read(self._buffer.rest())

    def _read(self, whole: bytes) -> Iterator[dict[str, Any]]:
        for frame in frames(whole):
            if too_many_values(frame):
                raise ValueError("a frame of the answer has too many values")
            if document := payload(frame):
                yield document
