"""The request as an upstream gets it: written again from what was understood, in words the upstream knows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from aiplat.services.bounds import UNKNOWN_FIELDS
from aiplat.services.gateway.requests.fields import CHAT, COMPLETIONS, bound
from aiplat.services.gateway.routing.models import Model

Document = dict[str, Any]
# Fields that the gateway adds of its own accord, each with the words by which an upstream refuses it.
ADDED = {"stream_options": ("stream_options", "include_usage"), "max_tokens": ("max_tokens",)}
# Whoever speaks OpenAI's newest words: others know `max_tokens` and the role `system` alone.
_NEWEST = (".openai.com", ".openai.azure.com")
# Never passed: with the first one client could unload the model that others use.
_DROPPED = ("keep_alive", "name")
_LIMITS = ("max_tokens", "max_completion_tokens")


class RejectedFields:
    """Remembers which added fields a model's upstream does not take."""

    def __init__(self) -> None:
        self._by_model: dict[tuple[str, str], frozenset[str]] = {}

    def of(self, model: Model) -> frozenset[str]:
        """Return the fields not to add for a model."""
        return self._by_model.get((model.provider, model.name), frozenset())

    def learn(self, model: Model, names: Collection[str]) -> None:
        """Remember that a model was answered without these fields, and refused with them."""
        if len(self._by_model) >= UNKNOWN_FIELDS:
            self._by_model.clear()
        self._by_model[model.provider, model.name] = self.of(model) | frozenset(names)


def sent(
    model: Model, path: str, asked: Document, without: Collection[str] = ()
) -> tuple[Document, set[str]]:
    """Return the document for a model, and the names of the fields in it that the client did not send.

    `without` names added fields that its upstream does not take.
    """
    document = {name: value for name, value in asked.items() if name not in _DROPPED}
    document["model"] = model.engine_name
    if isinstance(options := document.get("options"), dict) and not model.provider:
        document["options"] = {name: value for name, value in options.items() if name in model.options}
    if path not in (CHAT, COMPLETIONS):
        return document, set()
    newest = bool(model.provider) and _newest(model.url)
    added = _bounded(model, document, bound(path, asked), newest=newest, without=without)
    if path == CHAT and not newest and isinstance(messages := document.get("messages"), list):
        document["messages"] = [_message(message, model.roles) for message in messages]
    if document.get("stream") is True and "stream_options" not in without:
        options = document.get("stream_options") or {}
        document["stream_options"] = {**options, "include_usage": True}
        if "stream_options" not in asked:
            added.add("stream_options")
    return document, added


def left_out(model: Model, asked: Document) -> list[str]:
    """Return what of a request a model's engine does not get: what would change the model for others."""
    options = asked.get("options") or {}
    names = [f"options.{name}" for name in options if name not in model.options]
    return [*(["keep_alive"] if "keep_alive" in asked else []), *names]


def _newest(url: str) -> bool:
    return ("." + (urlsplit(url).hostname or "")).endswith(_NEWEST)


def _bounded(
    model: Model, document: Document, most: int | None, *, newest: bool, without: Collection[str]
) -> set[str]:
    """Have the bound that was understood be the one that is read."""
    given = [name for name in _LIMITS if name in document and document.pop(name) is not None]
    if most is None:
        return set()
    if not model.provider:
        document[model.output_limit] = most
        return set()
    document.update(dict.fromkeys(given, most))
    if newest or "max_tokens" in given or "max_tokens" in without:
        return set()
    document["max_tokens"] = most
    return {"max_tokens"}


def _message(message: Any, roles: Collection[str]) -> Any:
    if not isinstance(message, dict):
        return message
    if message.get("role") == "developer" and "developer" not in roles:
        return {**message, "role": "system"}
    if message.get("tool_calls") and isinstance(message["tool_calls"], list):
        return {**message, "tool_calls": [_call(call) for call in message["tool_calls"]]}
    return message


def _call(call: Any) -> Any:
    """Return a call whose arguments are JSON: some clients send none as an empty text."""
    function = call.get("function") if isinstance(call, dict) else None
    if isinstance(function, dict) and function.get("arguments", "") in ("", None):
        return {**call, "function": {**function, "arguments": "{}"}}
    return call
