"""The gateway as an ASGI application: finds the handler, asks for a key, answers refusals, counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import aiohttp

from aiplat.services.gateway.apis import ollama, openai, responses
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.http.cors import Cors
from aiplat.services.gateway.http.errors import ApiError
from aiplat.services.gateway.metrics import Metrics
from aiplat.services.gateway.requests.auth import KeyStore, bearer
from aiplat.services.gateway.requests.context import ClientLeft, Receive, RequestContext, Send
from aiplat.services.gateway.requests.trace import Tracer
from aiplat.services.gateway.requests.usage import RequestRecord
from aiplat.services.gateway.upstream.backends import Backends
from aiplat.services.request_id import REQUEST, TRACE

Handler = Callable[[RequestContext, Backends], Awaitable[None]]
Outcome = Literal["done", "refused", "failed", "client_left"]

log = logging.getLogger("aiplat.gateway")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path of the gateway; `name` is what metrics call it."""

    name: str
    methods: tuple[str, ...]
    handler: Handler


_GET = ("GET", "HEAD")
_ENDPOINTS: dict[str, Endpoint] = {
    "/": Endpoint("/", _GET, ollama.greet),
    "/v1/models": Endpoint("/v1/models", _GET, openai.list_models),
    "/v1/chat/completions": Endpoint("/v1/chat/completions", ("POST",), openai.generate),
    "/v1/completions": Endpoint("/v1/completions", ("POST",), openai.generate),
    "/v1/responses": Endpoint("/v1/responses", ("POST",), responses.respond),
    "/v1/embeddings": Endpoint("/v1/embeddings", ("POST",), openai.embed),
    "/api/chat": Endpoint("/api/chat", ("POST",), ollama.use),
    "/api/generate": Endpoint("/api/generate", ("POST",), ollama.use),
    "/api/embed": Endpoint("/api/embed", ("POST",), ollama.use),
    "/api/embeddings": Endpoint("/api/embeddings", ("POST",), ollama.use),
    "/api/show": Endpoint("/api/show", ("POST",), ollama.use),
    "/api/tags": Endpoint("/api/tags", _GET, ollama.tags),
    "/api/ps": Endpoint("/api/ps", _GET, ollama.running),
    "/api/version": Endpoint("/api/version", _GET, ollama.version),
    "/api/pull": Endpoint("/api/pull", ("POST",), ollama.refuse_change),
    "/api/push": Endpoint("/api/push", ("POST",), ollama.refuse_change),
    "/api/create": Endpoint("/api/create", ("POST",), ollama.refuse_change),
    "/api/copy": Endpoint("/api/copy", ("POST",), ollama.refuse_change),
    "/api/delete": Endpoint("/api/delete", ("DELETE",), ollama.refuse_change),
}
_BELOW: dict[str, Endpoint] = {
    "/v1/models/": Endpoint("/v1/models/{name}", _GET, openai.one_model),
    "/api/blobs/": Endpoint("/api/blobs", ("HEAD", "POST"), ollama.refuse_change),
}


def find_route(path: str) -> Endpoint | None:
    """Return the route of a path, or None."""
    if (exact := _ENDPOINTS.get(path)) is not None:
        return exact
    return next((route for prefix, route in _BELOW.items() if path.startswith(prefix)), None)


class GatewayApp:
    """The ASGI callable; holds no state of its own beyond what it is given."""

    def __init__(
        self,
        keys: KeyStore,
        backends: Backends,
        metrics: Metrics,
        cors: Cors | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._keys = keys
        self._tracer = tracer
        self._cors = cors or Cors()
        self._backends = backends
        self._metrics = metrics

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the gateway answers HTTP only, not {scope['type']}")
        context = RequestContext(scope, receive, send)
        REQUEST.set(context.own_id)
        if b"origin" in context.headers:
            if (allowed := self._cors.preflight(context.method, context.headers)) is not None:
                await send({"type": "http.response.start", "status": 204, "headers": allowed})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            context.more_headers += self._cors.headers(context.headers)
        if self._tracer is not None:
            context.trace = self._tracer.begin(context.method, context.headers, context.own_id)
            TRACE.set(context.trace.id)
        route = find_route(context.path)
        outcome: Outcome = "failed"
        try:
            outcome = await self._answer(context, route)
        finally:
            context.hold(self._backends.memory, 0)
            record = self._record(context, route, outcome)
            self._metrics.put(record)
            if context.admitted is not None:
                context.admitted.settle(record)
            if context.trace is not None:
                context.trace.ends(record)

    async def _answer(self, context: RequestContext, route: Endpoint | None) -> Outcome:
        try:
            # The key comes first: without one, not even which paths exist is reported.
            self._admit(context)
            if route is None:
                raise errors.no_such_path(context.method, context.path)
            if context.method not in route.methods:
                raise errors.wrong_method(context.method, context.path, route.methods)
            await route.handler(context, self._backends)
        except ApiError as error:
            await self._refuse(context, error)
            return "refused"
        except ClientLeft:
            return "client_left"
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("%s broke off: %s: %s", context.model, type(error).__name__, error)
            return await self._fail(context, errors.broken(context.model))
        except Exception:
            # Nobody foresaw it; a client's library must be able to show it all the same.
            log.exception("a request to %s failed", context.path[:200])
            return await self._fail(context, errors.failed())
        # An engine may say itself that it cannot: that is passed on, and nobody was served.
        return "failed" if context.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "done"

    async def _fail(self, context: RequestContext, error: ApiError) -> Outcome:
        """Say that it failed where nothing was said yet; else the connection is cut."""
        if not context.answered:
            await self._refuse(context, error)
        return "failed"

    def _admit(self, context: RequestContext) -> None:
        secret = bearer(context.headers)
        context.key = self._keys.find(secret) if secret else None
        if context.key is None:
            raise errors.no_key()
        if context.key.expired(time.time()):
            raise errors.expired_key()

    async def _refuse(self, context: RequestContext, error: ApiError) -> None:
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("%s of %s: %d %s", context.path[:200], context.model, error.status, error.message)
        ollama_client = context.path.startswith("/api/")
        shape = errors.ollama_body if ollama_client else errors.openai_body
        await context.reply(error.status, shape(error), error.all_headers())

    def _record(self, context: RequestContext, route: Endpoint | None, outcome: Outcome) -> RequestRecord:
        first = context.first_byte_at
        return RequestRecord(
            key=context.key.id if context.key else "",
            model=context.model,
            endpoint=route.name if route else "other",
            status=context.status,
            outcome=outcome,
            seconds=time.perf_counter() - context.started_at,
            first_byte=first - context.started_at if first is not None else None,
            usage=context.usage,
        )
