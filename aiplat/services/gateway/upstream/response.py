"""A request to an upstream as it was understood, and the answer whose headers are here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aiohttp

from aiplat.services.gateway.routing.replicas import Pool, Replica
from aiplat.services.gateway.upstream.connections import unpacked
from aiplat.services.gateway.upstream.providers import Translator

EVENTS = "text/event-stream"


class UpstreamRequest(NamedTuple):
    """What is asked: a path of OpenAI's or Ollama's API, and the document as it was understood."""

    path: str
    document: dict[str, Any]

    @property
    def streams(self) -> bool:
        """Whether an answer may come in pieces that are documents of their own: then none is waited for."""
        return self.path in ("/api/chat", "/api/generate") and self.document.get("stream") is not False


class UpstreamResponse:
    """An upstream's answer whose headers are here; counted as in flight until closed.

    `translator` puts a provider's answer into OpenAI's form, where it has another. Some of the answer may
    have been read already, to see whether it is one: that is `begun`; where it is all, it has `ended`.
    """

    def __init__(self, pool: Pool, replica: Replica) -> None:
        self.translator: Translator | None = None
        self.begun = b""
        self._pool = pool
        self._replica = replica
        self._response: aiohttp.ClientResponse | None = None
        self._rest: AsyncIterator[bytes] | None = None
        self.ended = False
        pool.in_flight += 1
        replica.in_flight += 1

    @property
    def http(self) -> aiohttp.ClientResponse:
        """The answer itself."""
        if self._response is None:
            raise RuntimeError("the upstream has not answered yet")
        return self._response

    def arrived(self, response: aiohttp.ClientResponse, translator: Translator | None) -> UpstreamResponse:
        """Take the answer."""
        self._response, self.translator = response, translator
        return self

    def rest(self) -> AsyncIterator[bytes]:
        """Return what comes after `begun` of an answer that has not ended, in pieces and unpacked."""
        return self._rest or unpacked(self.http)

    @property
    def untranslatable(self) -> bool:
        """Whether events are to be translated, and none were sent."""
        return self.translator is not None and self.translator.events and not sends_events(self.http)

    async def begin(self, most: int) -> bytes | None:
        """Return the whole answer where it has `most` bytes or less, else None.

        Raises:
            aiohttp.ClientError, TimeoutError, ValueError: it broke off.
        """
        self._rest = unpacked(self.http)
        begun, size = [], 0
        try:
            async for piece in self._rest:
                begun.append(piece)
                size += len(piece)
                if size > most:
                    return None
            self.ended = True
            return b"".join(begun)
        finally:
            self.begun = b"".join(begun)

    def close(self) -> None:
        """Count it as done; a connection whose answer was not read to its end is given up."""
        self._pool.in_flight -= 1
        self._replica.in_flight -= 1
        if self.translator is not None:
            self.translator.close()
        if self._response is not None:
            self._response.close()


def sends_events(upstream: aiohttp.ClientResponse) -> bool:
    """Whether an answer is an event stream, or does not say what it is."""
    return upstream.headers.get("content-type", EVENTS).startswith(EVENTS)
