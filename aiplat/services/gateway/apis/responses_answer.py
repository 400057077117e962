"""Turns chat completions into answers of the Responses API as they pass; what is asked is in responses."""

from __future__ import annotations

import json
from typing import Any

from aiplat.services.gateway.apis.responses_shapes import Call, Document, Shell, Text
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.http.answer_memory import AnswerShare
from aiplat.services.gateway.http.bodies import written
from aiplat.services.gateway.http.frames import FrameSplitter, whole_document
from aiplat.services.gateway.requests.counts import TokenCounts, counted, usage_document, usage_in
from aiplat.services.request_id import error_ids

_BYTES_PER_TOKEN = 4


def _thoughts(message: Document) -> str | None:
    # Engines disagree about the field's name.
    return message.get("reasoning_content") or message.get("reasoning")


class ResponseDocument:
    """A parser that turns a whole chat completion into a whole response."""

    rewrites = True
    whole = True
    events = False

    def __init__(self, request: Document, share: AnswerShare) -> None:
        self._shell = Shell(request)
        self._share = share
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> bytes:
        """Keep the piece: nothing can be said before the end.

        Raises:
            TooMuch: the answer is longer than may be kept.
        """
        self._share.take(len(piece))
        self._size += len(piece)
        self._pieces.append(piece)
        return b""

    def finish(self) -> bytes:
        """Return the response.

        Raises:
            ValueError, KeyError, IndexError, TypeError, AttributeError: the answer is not a completion.
        """
        raw, self._pieces = b"".join(self._pieces), []
        document = whole_document(raw)
        choice = document["choices"][0]
        output = list(_output_of(choice["message"]))
        self._shell.model, self._shell.usage = document.get("model") or "", usage_document(document)
        return written(self._shell.ended(choice.get("finish_reason"), output))

    def broken(self, error: errors.ApiError) -> bytes:
        """Return the error that stands in place of the response."""
        return written(errors.openai_body(error))

    def counted(self) -> TokenCounts | None:
        """Return what the engine says it used."""
        return counted(self._shell.usage)

    def written(self) -> int:
        """Return a token for every few bytes."""
        return self._size // _BYTES_PER_TOKEN


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
    """A parser that turns the chunks of a chat completion into the events of a response."""

    rewrites = True
    whole = False
    events = True

    def __init__(self, request: Document, share: AnswerShare) -> None:
        self._shell = Shell(request)
        self._share = share
        self._frames = FrameSplitter()
        self._number = 0
        # By the place in the output: None while the item there is being written.
        self._output: list[Document | None] = []
        self._text_open: tuple[int, Text] | None = None
        self._calls: list[tuple[int, Call]] = []
        self._deltas = 0
        self._finish: str | None = None

    def feed(self, piece: bytes) -> bytes:
        """Return the events that the chunks completed by `piece` make."""
        return b"".join(self._chunk(chunk) for chunk in self._frames.documents(piece))

    def finish(self) -> bytes:
        """Return the events that end the response."""
        last = b"".join(self._chunk(chunk) for chunk in self._frames.last())
        events = last + self._begin() + self._close_text() + self._close_calls()
        ended = self._shell.ended(self._finish, self._done())
        return events + self._event(f"response.{ended['status']}", response=ended)

    def broken(self, error: errors.ApiError) -> bytes:
        """Return the events of a response that the engine broke off."""
        said = {"code": "server_error", "message": error.message, **error_ids()}
        events = self._begin()
        return events + self._event(
            "response.failed", response=self._shell.document("failed", self._done(), error=said)
        )

    def counted(self) -> TokenCounts | None:
        """Return the engine's count."""
        return counted(self._shell.usage)

    def written(self) -> int:
        """Return the number of deltas."""
        return self._deltas

    def _done(self) -> list[Document]:
        return [item for item in self._output if item is not None]

    def _event(self, kind: str, **fields: Any) -> bytes:
        document = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), written(document))

    def _begin(self) -> bytes:
        if self._number:
            return b""
        begun = self._shell.document("in_progress", [])
        return b"".join(self._event(f"response.{k}", response=begun) for k in ("created", "in_progress"))

    def _chunk(self, chunk: Document) -> bytes:
        if chunk.get("error"):
            raise ValueError("the engine says that it cannot go on")
        self._shell.model = self._shell.model or chunk.get("model") or ""
        if usage_in(chunk) is not None:
            self._shell.usage = usage_document(chunk)
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
        self._share.take(len(text))
        events = b""
        if self._text_open is None or self._text_open[1].kind != kind:
            item = Text(kind)
            events = self._close_text() + self._close_calls()
            self._text_open = (len(self._output), item)
            events += self._added(item)
            part = {"content_index": 0, "part": item.part()}
            events += self._event("response.content_part.added", **self._place(*self._text_open), **part)
        place, item = self._text_open
        item.pieces.append(text)
        self._deltas += 1
        more: Document = {"logprobs": []} if kind == "message" else {}
        delta = {"content_index": 0, "delta": text, **more}
        return events + self._event(f"response.{item.part_type}.delta", **self._place(place, item), **delta)

    def _call(self, made: Document) -> bytes:
        """Return the events of a piece of a call; calls may be written in turns, told by id and index."""
        events = self._close_text()
        found = next((one for one in reversed(self._calls) if one[1].continues(made)), None)
        if found is None:
            item = Call(made)
            found = (len(self._output), item)
            self._calls.append(found)
            self._share.take(len(item.name))
            events += self._added(item)
        arguments = (made.get("function") or {}).get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments)
        return events + (self._argued(*found, arguments) if arguments else b"")

    def _argued(self, place: int, item: Call, arguments: str) -> bytes:
        self._share.take(len(arguments))
        item.pieces.append(arguments)
        self._deltas += 1
        where = self._place(place, item)
        return self._event("response.function_call_arguments.delta", **where, delta=arguments)

    def _added(self, item: Text | Call) -> bytes:
        at = len(self._output)
        self._output.append(None)
        return self._event("response.output_item.added", output_index=at, item=item.item(done=False))

    def _place(self, place: int, item: Text | Call) -> Document:
        return {"item_id": item.id, "output_index": place}

    def _close_text(self) -> bytes:
        if self._text_open is None:
            return b""
        (place, item), self._text_open = self._text_open, None
        where = self._place(place, item)
        more: Document = {"logprobs": []} if item.kind == "message" else {}
        done = {"content_index": 0, item.field: "".join(item.pieces), **more}
        events = self._event(f"response.{item.part_type}.done", **where, **done)
        part = {"content_index": 0, "part": item.part()}
        events += self._event("response.content_part.done", **where, **part)
        return events + self._finished(place, item)

    def _close_calls(self) -> bytes:
        calls, self._calls = self._calls, []
        return b"".join(self._close_call(place, item) for place, item in calls)

    def _close_call(self, place: int, item: Call) -> bytes:
        events = b"" if item.pieces else self._argued(place, item, "{}")
        done = {"name": item.name, "arguments": item.arguments}
        where = self._place(place, item)
        events += self._event("response.function_call_arguments.done", **where, **done)
        return events + self._finished(place, item)

    def _finished(self, place: int, item: Text | Call) -> bytes:
        finished = item.item(done=True)
        self._output[place] = finished
        return self._event("response.output_item.done", output_index=place, item=finished)
