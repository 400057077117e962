"""Turns answers of Anthropic's Messages API into OpenAI's chat completions; what is asked is in anthropic."""

from __future__ import annotations

import json
import time
from typing import Any

from aiplat.services.gateway.http.answer_memory import AnswerShare
from aiplat.services.gateway.http.bodies import written
from aiplat.services.gateway.http.frames import FrameSplitter, whole_document
from aiplat.services.gateway.requests.counts import number_of

Document = dict[str, Any]

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_DONE = b"data: [DONE]\n\n"


def _usage(usage: Document) -> Document:
    cached = number_of(usage, "cache_read_input_tokens")
    prompt = number_of(usage, "input_tokens") + cached + number_of(usage, "cache_creation_input_tokens")
    completion = number_of(usage, "output_tokens")
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


class MessagesDocument:
    """Turns a whole message into a whole chat completion."""

    events = False

    def __init__(self, share: AnswerShare) -> None:
        self._share = share
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> bytes:
        """Keep the piece: nothing can be said before the end.

        Raises:
            TooMuch: the answer is longer than may be kept.
        """
        self._share.take(len(piece))
        self._pieces.append(piece)
        return b""

    def close(self) -> None:
        """Give back the memory that was taken."""
        self._share.close()

    def finish(self) -> bytes:
        """Return the chat completion.

        Raises:
            ValueError, KeyError, TypeError: the answer is not a message.
        """
        raw, self._pieces = b"".join(self._pieces), []
        message = whole_document(raw)
        choice = {
            "index": 0,
            "message": _spoken(message["content"]),
            "finish_reason": _FINISH.get(message.get("stop_reason"), "stop"),
        }
        document = {
            "id": message["id"],
            "object": "chat.completion",
            "created": int(time.time()),
            "model": message["model"],
            "choices": [choice],
            "usage": _usage(message.get("usage") or {}),
        }
        return written(document)


def _spoken(blocks: list[Document]) -> Document:
    text = "".join(b["text"] for b in blocks if b["type"] == "text")
    thoughts = "".join(b["thinking"] for b in blocks if b["type"] == "thinking")
    calls = [
        _call(b["id"], b["name"], json.dumps(b.get("input") or {})) for b in blocks if b["type"] == "tool_use"
    ]
    message: Document = {"role": "assistant", "content": text or None}
    if thoughts:
        message["reasoning_content"] = thoughts
    return message | ({"tool_calls": calls} if calls else {})


def _call(call_id: str, name: str, arguments: str) -> Document:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


class MessagesEvents:
    """Turns the events of a message into the chunks of a chat completion, usage and `[DONE]` included."""

    events = True

    def __init__(self) -> None:
        self._frames = FrameSplitter()
        self._about: Document = {}
        self._usage: Document = {}
        self._calls = 0
        # Blocks are told apart by their index: of a call, its number and whether it has arguments yet.
        self._open: dict[Any, tuple[int, bool]] = {}
        self._finish: str | None = None
        self._ended = False

    def feed(self, piece: bytes) -> bytes:
        """Return the chunks that the events completed by `piece` make.

        Raises:
            ValueError: the provider says that it cannot go on.
        """
        return b"".join(self._event(event) for event in self._frames.documents(piece))

    def finish(self) -> bytes:
        """Return nothing: the last event has said everything.

        Raises:
            ValueError: it never came.
        """
        last = b"".join(self._event(event) for event in self._frames.last())
        if not self._ended:
            raise ValueError("the provider's stream ended before the message did")
        return last

    def close(self) -> None:
        """Nothing is kept."""

    def _event(self, event: Document) -> bytes:
        kind = event.get("type")
        if kind == "message_start":
            return self._start(event["message"])
        if kind == "content_block_start":
            return self._block(event.get("index"), event["content_block"])
        if kind == "content_block_delta":
            return self._delta(event.get("index"), event["delta"])
        if kind == "content_block_stop":
            return self._block_end(event.get("index"))
        if kind == "message_delta":
            self._usage |= {k: v for k, v in (event.get("usage") or {}).items() if v is not None}
            self._finish = _FINISH.get(str((event.get("delta") or {}).get("stop_reason")), "stop")
        elif kind == "message_stop":
            return self._end()
        elif kind == "error":
            raise ValueError(f"the provider says: {event.get('error', {}).get('type')}")
        return b""

    def _start(self, message: Document) -> bytes:
        self._usage = dict(message.get("usage") or {})
        self._about = {
            "id": message["id"],
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": message["model"],
        }
        return self._chunk({"role": "assistant", "content": ""})

    def _block(self, index: Any, block: Document) -> bytes:
        if block["type"] == "text" and block.get("text"):
            return self._chunk({"content": block["text"]})
        if block["type"] != "tool_use":
            return b""
        # Usually the arguments follow; some give them here.
        given = json.dumps(block["input"]) if block.get("input") else ""
        number, self._calls = self._calls, self._calls + 1
        self._open[index] = (number, bool(given))
        return self._chunk({"tool_calls": [{"index": number, **_call(block["id"], block["name"], given)}]})

    def _block_end(self, index: Any) -> bytes:
        number, has_arguments = self._open.pop(index, (0, True))
        # A call without arguments: what its pieces add up to must be JSON all the same.
        return b"" if has_arguments else self._arguments(number, "{}")

    def _arguments(self, number: int, piece: str) -> bytes:
        return self._chunk({"tool_calls": [{"index": number, "function": {"arguments": piece}}]})

    def _delta(self, index: Any, delta: Document) -> bytes:
        if delta["type"] == "text_delta":
            return self._chunk({"content": delta["text"]})
        if delta["type"] == "thinking_delta":
            return self._chunk({"reasoning_content": delta["thinking"]})
        if delta["type"] == "input_json_delta":
            number, _ = self._open.get(index, (max(0, self._calls - 1), False))
            piece = delta["partial_json"]
            if not piece:
                return b""
            self._open[index] = (number, True)
            return self._arguments(number, piece)
        return b""

    def _end(self) -> bytes:
        self._ended = True
        ended = b"".join(self._block_end(index) for index in list(self._open))
        last = ended + self._chunk({}, self._finish or "stop")
        usage = {**self._about, "choices": [], "usage": _usage(self._usage)}
        return last + _frame(usage) + _DONE

    def _chunk(self, delta: Document, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _frame({**self._about, "choices": [choice]})


def _frame(document: Document) -> bytes:
    return b"data: " + written(document) + b"\n\n"
