"""How each provider is spoken to: its key, its paths, and the form its answers are put into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from aiplat.services.gateway.http import errors
from aiplat.services.gateway.http.answer_memory import AnswerShare
from aiplat.services.gateway.http.bodies import written
from aiplat.services.gateway.http.errors import ApiError
from aiplat.services.gateway.requests.counts import TokenCounts
from aiplat.services.gateway.routing.models import Model
from aiplat.services.gateway.upstream import anthropic
from aiplat.services.gateway.upstream.anthropic_answer import MessagesDocument, MessagesEvents
from aiplat.services.gateway.upstream.stream_parsers import StreamParser

_CHAT = "/v1/chat/completions"


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
    """Turns a provider's answer into OpenAI's form as it passes; with `events`, a stream into a stream."""

    events: bool

    def feed(self, piece: bytes) -> bytes:
        """Take a piece; return what it completes."""

    def finish(self) -> bytes:
        """Return what is left at the end."""

    def close(self) -> None:
        """Give back the memory that was taken."""


class Outgoing(NamedTuple):
    """A request as it goes to an upstream, and what turns the answer into OpenAI's form."""

    path: str
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})
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

    def outgoing(
        self, model: Model, path: str, document: dict[str, Any], share: AnswerShare, most: int | None = None
    ) -> Outgoing:
        """Return the request for a provider's model; what must be kept of its answer counts in `share`.

        `most` is the bound of an answer where the request names none and its API wants one.

        Raises:
            ApiError: 400 for what the provider's API cannot do, 502 for one that routes no longer name.
        """
        provider = self._by_name.get(model.provider)
        if provider is None:
            raise errors.broken(model.name)
        key = self._keys.get(provider.name)
        if provider.kind == "anthropic":
            return _to_anthropic(model, path, document, key, (share, most))
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return Outgoing(path.removeprefix("/v1"), written(document), headers)

    def without_key(self, model: Model, text: str) -> str:
        """Return a provider's words without its key, should they quote it."""
        key = self._keys.get(model.provider)
        return text.replace(key, "…") if key else text


def _read_key(path: Path) -> str:
    key = path.read_text().strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ValueError(f"{path}: holds no key; write the provider's key into it, and nothing else")
    return key


def _to_anthropic(
    model: Model, path: str, document: dict[str, Any], key: str | None, kept: tuple[AnswerShare, int | None]
) -> Outgoing:
    share, most = kept
    if path != _CHAT:
        raise errors.bad_request(
            f"the provider of '{model.name}' has no {path}; use /v1/chat/completions or /v1/responses",
            param="model",
        )
    try:
        request = anthropic.messages_request(document, most)
        body = written(request)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise errors.bad_request(f"the chat cannot be put into the provider's form: {error!r}") from None
    headers = {"anthropic-version": anthropic.VERSION} | ({"x-api-key": key} if key else {})
    translator = MessagesEvents() if request.get("stream") else MessagesDocument(share)
    return Outgoing("/messages", body, headers, translator)


class TranslatedParser:
    """A parser behind a translator."""

    rewrites = True

    def __init__(self, translator: Translator, parser: StreamParser) -> None:
        self._translator = translator
        self._parser = parser
        # A whole answer is looked through before anything of it is sent.
        self.whole = parser.whole or isinstance(translator, MessagesDocument)
        self.events = translator.events

    def feed(self, piece: bytes) -> bytes:
        """Translate, then read."""
        turned = self._translator.feed(piece)
        return self._parser.feed(turned) if turned else b""

    def finish(self) -> bytes:
        """Return what both still hold."""
        last = self._translator.finish()
        return (self._parser.feed(last) if last else b"") + self._parser.finish()

    def broken(self, error: ApiError) -> bytes:
        """Say it as the parser does."""
        return self._parser.broken(error)

    def counted(self) -> TokenCounts | None:
        """Return what the parser has read."""
        return self._parser.counted()

    def written(self) -> int:
        """Return what the parser has seen pass."""
        return self._parser.written()
