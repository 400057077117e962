"""Turns chat completions into answers of the Responses API as they pass; what is asked is in responses."""

from __future__ import annotations

import json
from typing import Any

from aiplat.services.gateway import refusals
from aiplat.services.gateway.readers import FrameSplitter, usage_of
from aiplat.services.gateway.responses_shapes import Call, Document, Shell, Text
from aiplat.services.gateway.usage import Usage


def _thoughts(message: Document) -> str | None:
    # Engines disagree about the field's name.
    return message.get("reasoning_content") or message.get("reasoning")


class ResponseDocument:
    """A reader that turns a whole chat completion into a whole response."""

    rewrites = True

    def __init__(self, request: Document) -> None:
        self._shell = Shell(request)
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes) -> bytes:
        """Keep the piece: nothing can be said before the end."""
        self._pieces.append(piece)
        return b""

    def finish(self) -> bytes:
        """Return the response, or an error where the engine's answer is none."""
        try:
            document = json.loads(b"".join(self._pieces))
            choice = document["choices"][0]
            output = list(_output_of(choice["message"]))
        except (ValueError, KeyError, IndexError, TypeError):
            return self.broken(refusals.broken(self._shell.document("failed", [])["model"]))
        self._shell.model, self._shell.usage = document.get("model") or "", document.get("usage")
        ended = self._shell.ended(choice.get("finish_reason"), output)
        return json.dumps(ended, ensure_ascii=False).encode()

    def broken(self, refusal: refusals.Refusal) -> bytes:
        """Return the error that stands in place of the response."""
        return json.dumps(refusals.openai_shape(refusal)).encode()

    def usage(self) -> Usage:
        """Return what the engine says it used."""
        return usage_of(self._shell.usage) or Usage(estimated=True)


def _output_of(message: Document) -> list[Document]:
    output = []
    for kind, text in (("reasoning", _thoughts(message)), ("refusal", message.get("refusal"))):
        if text:
            output.append(_written(Text(kind), text))
    calls = message.get("tool_calls") or []
    if message.get("content") or not (calls or output):
        output.append(_written(Text("message"), message.get("content") or ""))
    return output + [_written(Call(made), made["function"].get("arguments") or "") for made in calls]


def _written(item: Text | Call, text: str) -> Document:
    item.pieces.append(text)
    return item.item(done=True)


class ResponseEvents:
    """A reader that turns the chunks of a chat completion into the events of a response."""

    rewrites = True

    def __init__(self, request: Document) -> None:
        self._shell = Shell(request)
        self._frames = FrameSplitter()
        self._number = 0
        self._output: list[Document] = []
        self._open: Text | Call | None = None
        self._deltas = 0
        self._finish: str | None = None

    def feed(self, piece: bytes) -> bytes:
        """Return the events that the chunks completed by `piece` make."""
        return b"".join(self._chunk(chunk) for chunk in self._frames.documents(piece))

    def finish(self) -> bytes:
        """Return the events that end the response."""
        events = self._begin() + self._close()
        ended = self._shell.ended(self._finish, self._output)
        return events + self._event(f"response.{ended['status']}", response=ended)

    def broken(self, refusal: refusals.Refusal) -> bytes:
        """Return the events of a response that the engine broke off."""
        error = {"code": "server_error", "message": refusal.message}
        events = self._begin()
        return events + self._event(
            "response.failed", response=self._shell.document("failed", self._output, error=error)
        )

    def usage(self) -> Usage:
        """Return the engine's count, or the number of deltas as an estimate."""
        return usage_of(self._shell.usage) or Usage(completion=self._deltas, estimated=True)

    def _event(self, kind: str, **fields: Any) -> bytes:
        document = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        return f"event: {kind}\ndata: {text}\n\n".encode()

    def _begin(self) -> bytes:
        if self._number:
            return b""
        begun = self._shell.document("in_progress", [])
        return b"".join(self._event(f"response.{k}", response=begun) for k in ("created", "in_progress"))

    def _chunk(self, chunk: Document) -> bytes:
        if chunk.get("error"):
            raise ValueError("the engine says that it cannot go on")
        self._shell.model = self._shell.model or chunk.get("model") or ""
        self._shell.usage = chunk.get("usage") or self._shell.usage
        events = [self._begin()]
        for choice in (chunk.get("choices") or [])[:1]:
            delta = choice.get("delta") or {}
            events.append(self._text("reasoning", _thoughts(delta)))
            events.append(self._text("refusal", delta.get("refusal")))
            events.append(self._text("message", delta.get("content")))
            events += [self._call(made) for made in delta.get("tool_calls") or ()]
            self._finish = choice.get("finish_reason") or self._finish
        return b"".join(events)

    def _text(self, kind: str, text: Any) -> bytes:
        if not isinstance(text, str) or not text:
            return b""
        events, item = b"", self._open
        if not isinstance(item, Text) or item.kind != kind:
            item = Text(kind)
            events = self._replace(item)
            part = {"content_index": 0, "part": item.part()}
            events += self._event("response.content_part.added", **self._place(item), **part)
        item.pieces.append(text)
        self._deltas += 1
        more: Document = {"logprobs": []} if kind == "message" else {}
        delta = {"content_index": 0, "delta": text, **more}
        return events + self._event(f"response.{item.part_type}.delta", **self._place(item), **delta)

    def _call(self, made: Document) -> bytes:
        events, item = b"", self._open
        if not isinstance(item, Call) or made.get("index") != item.index:
            item = Call(made)
            events = self._replace(item)
        if arguments := (made.get("function") or {}).get("arguments"):
            item.pieces.append(arguments)
            self._deltas += 1
            place = self._place(item)
            events += self._event("response.function_call_arguments.delta", **place, delta=arguments)
        return events

    def _replace(self, item: Text | Call) -> bytes:
        events = self._close()
        self._open = item
        at = len(self._output)
        return events + self._event("response.output_item.added", output_index=at, item=item.item(done=False))

    def _place(self, item: Text | Call) -> Document:
        return {"item_id": item.id, "output_index": len(self._output)}

    def _close(self) -> bytes:
        item, self._open = self._open, None
        if item is None:
            return b""
        events, place = b"", self._place(item)
        if isinstance(item, Call):
            done = {"name": item.name, "arguments": "".join(item.pieces)}
            events += self._event("response.function_call_arguments.done", **place, **done)
        else:
            more: Document = {"logprobs": []} if item.kind == "message" else {}
            done = {"content_index": 0, item.field: "".join(item.pieces), **more}
            events += self._event(f"response.{item.part_type}.done", **place, **done)
            part = {"content_index": 0, "part": item.part()}
            events += self._event("response.content_part.done", **place, **part)
        finished = item.item(done=True)
        events += self._event("response.output_item.done", output_index=len(self._output), item=finished)
        self._output.append(finished)
        return events
