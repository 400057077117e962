"""Reads usage off an answer while it streams past, holding at most one frame, and leaves all else alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Protocol

from aiplat.services.gateway.refusals import Refusal, ollama_shape, openai_shape
from aiplat.services.gateway.usage import Usage

_TAIL = 64 << 10
_LONGEST_FRAME = 4 << 20
_FRAME_END = re.compile(rb"\r?\n\r?\n")
_HAS_USAGE = re.compile(rb'"usage"\s*:\s*\{')
# Inside a JSON string a quote is escaped, so these match the answer's own fields and no generated text.
_PROMPT = re.compile(rb'"(?:prompt_tokens|prompt_eval_count)"\s*:\s*(\d+)')
_COMPLETION = re.compile(rb'"(?:completion_tokens|eval_count)"\s*:\s*(\d+)')


class Reader(Protocol):
    """Sees every piece of an answer and says what goes on to the client.

    `rewrites` says that the length of what goes on differs from what came.
    """

    @property
    def rewrites(self) -> bool:
        """Whether the answer is changed on its way."""

    def feed(self, piece: bytes) -> bytes:
        """Take a piece as it came; return what to send now (may be empty)."""

    def finish(self) -> bytes:
        """Return what is still held when the answer has ended."""

    def broken(self, refusal: Refusal) -> bytes:
        """Return what tells a client whose stream has begun that the rest will not come."""

    def usage(self) -> Usage:
        """Return what was read so far; estimated when the engine's own count was not seen."""


class SseReader:
    """Server-sent events of OpenAI's API. Frames pass 1:1; with `strip`, usage is taken out of them.

    A frame without `choices` is then left out whole: it exists because the gateway asked for usage.
    """

    rewrites = False

    def __init__(self, strip: bool) -> None:
        self._strip = strip
        self._rest = b""
        self._frames = 0
        self._counted: Usage | None = None

    def feed(self, piece: bytes) -> bytes:
        """Return the whole frames that `piece` completes."""
        data = self._rest + piece if self._rest else piece
        cut = max(data.rfind(b"\n\n") + 2, data.rfind(b"\r\n\r\n") + 4 if b"\r" in data else 0)
        if cut < 4:
            cut = 0
        if len(data) - cut > _LONGEST_FRAME:
            cut = len(data)
        whole, self._rest = data[:cut], data[cut:]
        if _HAS_USAGE.search(whole):
            whole = self._inspect(whole)
        self._frames += whole.count(b"data:")
        return whole

    def finish(self) -> bytes:
        """Return an unfinished last frame as it is."""
        rest, self._rest = self._rest, b""
        return rest

    def broken(self, refusal: Refusal) -> bytes:
        """Return a frame with the error, which OpenAI's clients raise."""
        return f"data: {json.dumps(openai_shape(refusal))}\n\n".encode()

    def usage(self) -> Usage:
        """Return the engine's count, or the number of frames as an estimate."""
        return self._counted or Usage(completion=self._frames, estimated=True)

    def _inspect(self, whole: bytes) -> bytes:
        # Under load a piece holds dozens of frames, and one of them a usage: only that one is read.
        kept, begin = [], 0
        for match in _FRAME_END.finditer(whole):
            frame = whole[begin : match.end()]
            kept.append(self._without_usage(frame) if b'"usage"' in frame else frame)
            begin = match.end()
        kept.append(whole[begin:])
        return b"".join(kept)

    def _without_usage(self, frame: bytes) -> bytes:
        document = _payload(frame)
        usage = document.get("usage")
        if not isinstance(usage, dict):
            return frame
        # Ollama puts a usage of zeros into every frame of a completion before the real one.
        self._counted = usage_of(usage) or self._counted
        if not self._strip:
            return frame
        if not document.get("choices"):
            return b""
        del document["usage"]
        return b"data: " + json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


class TailReader:
    """Whole JSON documents and Ollama's JSON lines: their counts come last, so only the tail is kept."""

    rewrites = False

    def __init__(self) -> None:
        self._tail = b""
        self._lines = 0

    def feed(self, piece: bytes) -> bytes:
        """Return `piece` as it came."""
        self._lines += piece.count(b"\n")
        self._tail = piece if len(piece) >= _TAIL else (self._tail + piece)[-_TAIL:]
        return piece

    def finish(self) -> bytes:
        """Nothing is ever held back."""
        return b""

    def broken(self, refusal: Refusal) -> bytes:
        """Return a line with the error, which Ollama's clients raise."""
        return json.dumps(ollama_shape(refusal)).encode() + b"\n"

    def usage(self) -> Usage:
        """Return the last counts in the tail, or the number of lines as an estimate."""
        prompt, completion = _PROMPT.findall(self._tail), _COMPLETION.findall(self._tail)
        if not prompt and not completion:
            return Usage(completion=self._lines, estimated=True)
        return Usage(int(prompt[-1]) if prompt else 0, int(completion[-1]) if completion else 0)


def _payload(frame: bytes) -> dict[str, Any]:
    data = b"\n".join(line[5:] for line in frame.splitlines() if line.startswith(b"data:"))
    try:
        document = json.loads(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def number_of(usage: dict[str, Any], name: str) -> int:
    """Return a count of a usage document, 0 where it is missing."""
    value = usage.get(name)
    return value if isinstance(value, int) else 0


def usage_of(usage: Any) -> Usage | None:
    """Return what a usage document of OpenAI's API counts; None where it counts nothing."""
    if not isinstance(usage, dict):
        return None
    seen = Usage(number_of(usage, "prompt_tokens"), number_of(usage, "completion_tokens"))
    return seen if seen.prompt or seen.completion else None


class FrameSplitter:
    """Cuts an event stream into the JSON documents of its frames, however the network cut it."""

    def __init__(self) -> None:
        self._rest = b""

    def documents(self, piece: bytes) -> Iterator[dict[str, Any]]:
        """Yield the documents of the frames that `piece` completes; other frames are passed over.

        Raises:
            ValueError: a frame is larger than 4 MiB.
        """
        *frames, self._rest = _FRAME_END.split(self._rest + piece)
        if len(self._rest) > _LONGEST_FRAME:
            raise ValueError("a frame of the answer is larger than 4 MiB")
        for frame in frames:
            if document := _payload(frame):
                yield document
