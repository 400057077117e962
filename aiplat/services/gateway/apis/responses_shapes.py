"""What a response of the Responses API looks like; turning answers into it is for responses_answer."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from aiplat.services.gateway.requests.counts import TokenCounts, counted, number_of

Document = dict[str, Any]

_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED: Document = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "service_tier": "default",
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "user": None,
}


class Shell:
    """The response around its output: the same from its first event to its last."""

    def __init__(self, request: Document) -> None:
        self._id = new_id("resp")
        self._created = int(time.time())
        self._request = request
        self.model = ""
        self.usage: Document | None = None

    def document(self, status: str, output: list[Document], **more: Any) -> Document:
        """Return the response as it stands; fields of the request are said again, as OpenAI does."""
        echoed = {k: default if (v := self._request.get(k)) is None else v for k, default in _ECHOED.items()}
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": self.model or self._request["model"],
            "output": output,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None, **(self._request.get("reasoning") or {})},
            "store": False,
            "truncation": "disabled",
            "usage": _usage(self.usage),
            **echoed,
            **more,
        }

    def ended(self, finish: str | None, output: list[Document]) -> Document:
        """Return the response at its end; one that was cut says why."""
        reason = _CUT.get(finish or "")
        if reason is None:
            return self.document("completed", output)
        return self.document("incomplete", output, incomplete_details={"reason": reason})


def _usage(usage: Document | None) -> Document | None:
    if not usage:
        return None
    seen = counted(usage) or TokenCounts()
    prompt, completion = seen.prompt or 0, seen.completion or 0
    cached = _detail(usage, "prompt_tokens_details", "cached_tokens")
    thought = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": prompt + completion,
    }


def _detail(usage: Document, name: str, count: str) -> int:
    details = usage.get(name)
    return number_of(details, count) if isinstance(details, dict) else 0


def new_id(kind: str) -> str:
    """Return an id such as `msg_…`."""
    return f"{kind}_{uuid.uuid4().hex}"


# Kind: type of the item, prefix of its id, type of its part, which is also the name of its events.
_KINDS = {
    "message": ("message", "msg", "output_text"),
    "refusal": ("message", "msg", "refusal"),
    "reasoning": ("reasoning", "rs", "reasoning_text"),
}


class Text:
    """A message, a refusal or a thought, while it is written and when it is done."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._item, prefix, self.part_type = _KINDS[kind]
        self.id = new_id(prefix)
        self.pieces: list[str] = []

    @property
    def field(self) -> str:
        """The field of the part that holds the text."""
        return "refusal" if self.kind == "refusal" else "text"

    def part(self) -> Document:
        """Return the content as far as it is written."""
        more: Document = {"annotations": [], "logprobs": []} if self.kind == "message" else {}
        return {"type": self.part_type, self.field: "".join(self.pieces), **more}

    def item(self, done: bool) -> Document:
        """Return the item, empty until it is done."""
        about: Document = {"summary": []} if self._item == "reasoning" else {"role": "assistant"}
        content = [self.part()] if done else []
        return {"id": self.id, "type": self._item, "status": _status(done), **about, "content": content}


class Call:
    """A function call, while its arguments are written and when it is done."""

    def __init__(self, made: Document) -> None:
        function = made.get("function") or {}
        self.id = new_id("fc")
        self.index = made.get("index")
        self.name = function.get("name") or ""
        self.given_id = made.get("id")
        self.pieces: list[str] = []
        self._call_id = self.given_id or new_id("call")

    @property
    def arguments(self) -> str:
        """What was written so far; a call without arguments has an empty object of them."""
        return "".join(self.pieces) or "{}"

    def continues(self, made: Document) -> bool:
        """Whether a piece belongs to this call: by its id, by its index, and by giving no new name."""
        function = made.get("function") or {}
        if (given := made.get("id")) and self.given_id:
            return bool(given == self.given_id)
        if made.get("index") is not None and made.get("index") != self.index:
            return False
        name = function.get("name")
        return not (name and self.name and (name != self.name or self._complete))

    @property
    def _complete(self) -> bool:
        try:
            json.loads("".join(self.pieces))
        except (ValueError, RecursionError):
            return False
        return True

    def item(self, done: bool) -> Document:
        """Return the item, without arguments until it is done."""
        arguments = self.arguments if done else ""
        about = {"call_id": self._call_id, "name": self.name, "arguments": arguments}
        return {"id": self.id, "type": "function_call", "status": _status(done), **about}


def _status(done: bool) -> str:
    return "completed" if done else "in_progress"
