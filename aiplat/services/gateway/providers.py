"""How each provider is spoken to: its key, its paths, and the form its answers are put into."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import aiohttp
from pydantic import BaseModel, ConfigDict, Field

from aiplat.services.gateway import anthropic, refusals
from aiplat.services.gateway.anthropic_answer import MessagesDocument, MessagesEvents
from aiplat.services.gateway.models import Model
from aiplat.services.gateway.readers import Reader
from aiplat.services.gateway.refusals import Refusal
from aiplat.services.gateway.usage import Usage

_CHAT = "/v1/chat/completions"
_ERROR_BYTES = 64 << 10
_PASSED_ON = frozenset({400, 404, 408, 409, 413, 422, 429})

log = logging.getLogger("aiplat.gateway")


class Provider(BaseModel):
    """Who serves models over an API of their own.

    `url` is the API's base, as in `https://api.openai.com/v1` or `https://api.anthropic.com/v1`.
    `key_file` holds the key and nothing else; it is read again when it changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    kind: str = Field(default="openai", pattern="^(openai|anthropic)$")
    url: str = Field(pattern=r"^https?://")
    key_file: Path | None = None


class Translator(Protocol):
    """Turns a provider's answer into OpenAI's form as it passes."""

    def feed(self, piece: bytes) -> bytes:
        """Take a piece; return what it completes."""

    def finish(self) -> bytes:
        """Return what is left at the end."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it goes to an upstream, and what turns the answer into OpenAI's form."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    translator: Translator | None = None


class Providers:
    """The providers that routes name, with their keys; a key is nowhere else in the process."""

    def __init__(self) -> None:
        self._by_name: dict[str, Provider] = {}
        self._keys: dict[str, str] = {}

    def key_files(self) -> tuple[Path, ...]:
        """Return the files that keys are read from."""
        return tuple(p.key_file for p in self._by_name.values() if p.key_file is not None)

    def use(self, providers: Iterable[Provider]) -> None:
        """Take over providers and read their keys.

        Raises:
            ValueError: a key file is empty or not text.
            OSError: one cannot be read.
        """
        found = tuple(providers)
        keys = {p.name: _read_key(p.key_file) for p in found if p.key_file is not None}
        self._by_name, self._keys = {p.name: p for p in found}, keys

    def read_keys(self) -> None:
        """Read the keys again, after a file changed."""
        self.use(self._by_name.values())

    def outgoing(self, model: Model, path: str, body: bytes) -> Outgoing:
        """Return the request for a provider's model.

        Raises:
            Refusal: 400 for what the provider's API cannot do, 502 for a provider that routes no longer name.
        """
        provider = self._by_name.get(model.provider)
        if provider is None:
            raise refusals.broken(model.name)
        key = self._keys.get(provider.name)
        if provider.kind == "anthropic":
            return _to_anthropic(model, path, body, key)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return Outgoing(path.removeprefix("/v1"), body, headers)

    def without_key(self, model: Model, text: str) -> str:
        """Return a provider's words without its key, should they quote it."""
        key = self._keys.get(model.provider)
        return text.replace(key, "…") if key else text


def _read_key(path: Path) -> str:
    key = path.read_text().strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ValueError(f"{path}: holds no key; write the provider's key into it, and nothing else")
    return key


def _to_anthropic(model: Model, path: str, body: bytes, key: str | None) -> Outgoing:
    if path != _CHAT:
        raise refusals.bad_request(
            f"the provider of '{model.name}' has no {path}; use /v1/chat/completions or /v1/responses",
            param="model",
        )
    try:
        request = anthropic.messages_request(json.loads(body))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise refusals.bad_request(f"the chat cannot be put into the provider's form: {error!r}") from None
    headers = {"anthropic-version": anthropic.VERSION} | ({"x-api-key": key} if key else {})
    translator = MessagesEvents() if request.get("stream") else MessagesDocument()
    return Outgoing("/messages", json.dumps(request, ensure_ascii=False).encode(), headers, translator)


async def refusal_of(providers: Providers, model: Model, answer: aiohttp.ClientResponse) -> Refusal:
    """Return what a client is told of a provider's error: in OpenAI's form, and never with the key."""
    said = providers.without_key(model, _message(await answer.content.read(_ERROR_BYTES)))
    log.warning("provider %s answered %d for %s", model.provider, answer.status, model.name)
    if answer.status in {401, 403}:
        return refusals.provider_refused(model.name)
    if answer.status not in _PASSED_ON:
        return refusals.broken(model.name)
    wait = answer.headers.get("retry-after", "")
    kind = "rate_limit_error" if answer.status == 429 else "invalid_request_error"
    return Refusal(
        answer.status,
        f"the provider of '{model.name}' says: {said}",
        kind=kind,
        code="provider_refused",
        retry_after=int(wait) if wait.isdigit() else None,
    )


def _message(body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return "nothing that can be read"


class Translated:
    """A reader behind a translator."""

    rewrites = True

    def __init__(self, translator: Translator, reader: Reader) -> None:
        self._translator = translator
        self._reader = reader

    def feed(self, piece: bytes) -> bytes:
        """Translate, then read."""
        turned = self._translator.feed(piece)
        return self._reader.feed(turned) if turned else b""

    def finish(self) -> bytes:
        """Return what both still hold."""
        last = self._translator.finish()
        return (self._reader.feed(last) if last else b"") + self._reader.finish()

    def broken(self, refusal: Refusal) -> bytes:
        """Say it as the reader does."""
        return self._reader.broken(refusal)

    def usage(self) -> Usage:
        """Return what the reader has read."""
        return self._reader.usage()
