"""The gateway as an ASGI application: finds the handler, asks for a key, answers refusals, counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import aiohttp

from aiplat.services.gateway import ollama, openai, refusals, responses
from aiplat.services.gateway.auth import KeyStore, bearer
from aiplat.services.gateway.calls import Backends
from aiplat.services.gateway.cors import Cors
from aiplat.services.gateway.exchange import ClientLeft, Exchange, Receive, Send
from aiplat.services.gateway.metrics import Metrics
from aiplat.services.gateway.refusals import Refusal
from aiplat.services.gateway.usage import Record

Handler = Callable[[Exchange, Backends], Awaitable[None]]
Outcome = Literal["done", "refused", "failed", "client_left"]

log = logging.getLogger("aiplat.gateway")


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the gateway; `name` is what metrics call it."""

    name: str
    methods: tuple[str, ...]
    handler: Handler


_GET = ("GET", "HEAD")
_ROUTES: dict[str, Route] = {
    "/": Route("/", _GET, ollama.greet),
    "/v1/models": Route("/v1/models", _GET, openai.list_models),
    "/v1/chat/completions": Route("/v1/chat/completions", ("POST",), openai.generate),
    "/v1/completions": Route("/v1/completions", ("POST",), openai.generate),
    "/v1/responses": Route("/v1/responses", ("POST",), responses.respond),
    "/v1/embeddings": Route("/v1/embeddings", ("POST",), openai.embed),
    "/api/chat": Route("/api/chat", ("POST",), ollama.use),
    "/api/generate": Route("/api/generate", ("POST",), ollama.use),
    "/api/embed": Route("/api/embed", ("POST",), ollama.use),
    "/api/embeddings": Route("/api/embeddings", ("POST",), ollama.use),
    "/api/show": Route("/api/show", ("POST",), ollama.use),
    "/api/tags": Route("/api/tags", _GET, ollama.tags),
    "/api/ps": Route("/api/ps", _GET, ollama.running),
    "/api/version": Route("/api/version", _GET, ollama.version),
    "/api/pull": Route("/api/pull", ("POST",), ollama.refuse_change),
    "/api/push": Route("/api/push", ("POST",), ollama.refuse_change),
    "/api/create": Route("/api/create", ("POST",), ollama.refuse_change),
    "/api/copy": Route("/api/copy", ("POST",), ollama.refuse_change),
    "/api/delete": Route("/api/delete", ("DELETE",), ollama.refuse_change),
}
_BELOW: dict[str, Route] = {
    "/v1/models/": Route("/v1/models/{name}", _GET, openai.one_model),
    "/api/blobs/": Route("/api/blobs", ("HEAD", "POST"), ollama.refuse_change),
}


def find_route(path: str) -> Route | None:
    """Return the route of a path, or None."""
    if (exact := _ROUTES.get(path)) is not None:
        return exact
    return next((route for prefix, route in _BELOW.items() if path.startswith(prefix)), None)


class GatewayApp:
    """The ASGI callable; holds no state of its own beyond what it is given."""

    def __init__(
        self, keys: KeyStore, backends: Backends, metrics: Metrics, cors: Cors | None = None
    ) -> None:
        self._keys = keys
        self._cors = cors or Cors()
        self._backends = backends
        self._metrics = metrics

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the gateway answers HTTP only, not {scope['type']}")
        exchange = Exchange(scope, receive, send)
        if b"origin" in exchange.headers:
            if (allowed := self._cors.preflight(exchange.method, exchange.headers)) is not None:
                await send({"type": "http.response.start", "status": 204, "headers": allowed})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            exchange.more_headers += self._cors.headers(exchange.headers)
        route = find_route(exchange.path)
        outcome: Outcome = "failed"
        try:
            outcome = await self._answer(exchange, route)
        finally:
            exchange.hold(self._backends.memory, 0)
            record = self._record(exchange, route, outcome)
            self._metrics.put(record)
            self._backends.gate.settle(exchange, record)

    async def _answer(self, exchange: Exchange, route: Route | None) -> Outcome:
        try:
            # The key comes first: without one, not even which paths exist is reported.
            self._admit(exchange)
            if route is None:
                raise refusals.no_such_path(exchange.method, exchange.path)
            if exchange.method not in route.methods:
                raise refusals.wrong_method(exchange.method, exchange.path, route.methods)
            await route.handler(exchange, self._backends)
        except Refusal as refusal:
            await self._refuse(exchange, refusal)
            return "refused"
        except ClientLeft:
            return "client_left"
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("%s broke off: %s: %s", exchange.model, type(error).__name__, error)
            return await self._fail(exchange, refusals.broken(exchange.model))
        except Exception:
            # Nobody foresaw it; a client's library must be able to show it all the same.
            log.exception("a request to %s failed", exchange.path[:200])
            return await self._fail(exchange, refusals.failed())
        # An engine may say itself that it cannot: that is passed on, and nobody was served.
        return "failed" if exchange.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "done"

    async def _fail(self, exchange: Exchange, refusal: Refusal) -> Outcome:
        """Say that it failed where nothing was said yet; else the connection is cut."""
        if not exchange.answered:
            await self._refuse(exchange, refusal)
        return "failed"

    def _admit(self, exchange: Exchange) -> None:
        secret = bearer(exchange.headers)
        exchange.key = self._keys.find(secret) if secret else None
        if exchange.key is None:
            raise refusals.no_key()
        if exchange.key.expired(time.time()):
            raise refusals.expired_key()

    async def _refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        ollama_client = exchange.path.startswith("/api/")
        shape = refusals.ollama_shape if ollama_client else refusals.openai_shape
        await exchange.reply(refusal.status, shape(refusal), refusal.all_headers())

    def _record(self, exchange: Exchange, route: Route | None, outcome: Outcome) -> Record:
        first = exchange.first_byte_at
        return Record(
            key=exchange.key.id if exchange.key else "",
            model=exchange.model,
            endpoint=route.name if route else "other",
            status=exchange.status,
            outcome=outcome,
            seconds=time.perf_counter() - exchange.started_at,
            first_byte=first - exchange.started_at if first is not None else None,
            usage=exchange.usage,
        )
