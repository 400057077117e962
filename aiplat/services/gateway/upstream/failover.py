"""Finds who answers: replicas of the model, then its fallbacks, while no byte of an answer has come."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection
from http import HTTPStatus
from typing import Any

import aiohttp

from aiplat.services.bounds import ERROR_BYTES, LOOK_BYTES
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.http.bodies import written
from aiplat.services.gateway.http.errors import ApiError
from aiplat.services.gateway.requests.admission import ModelRequest
from aiplat.services.gateway.requests.context import RequestContext
from aiplat.services.gateway.routing.models import Model
from aiplat.services.gateway.routing.prefixes import prefix_blocks
from aiplat.services.gateway.routing.replicas import Pool, Replica
from aiplat.services.gateway.upstream.backends import Backends
from aiplat.services.gateway.upstream.connections import read_some
from aiplat.services.gateway.upstream.document import sent
from aiplat.services.gateway.upstream.provider_errors import error_in, error_of, named_in
from aiplat.services.gateway.upstream.providers import Outgoing
from aiplat.services.gateway.upstream.response import UpstreamRequest, UpstreamResponse

_PAUSES = (0.0, 0.05, 0.25, 1.0)
_NOT_ASKED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_TRY_AGAIN = (*_NOT_ASKED, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
# What another replica of the same model may do better, and what another model may.
_BUSY = frozenset({500, 502, 503, 504})
_REJECTED = frozenset({400, 422})
_FALL_BACK = frozenset({401, 403, 404, 408, 429, *_BUSY, 529})

log = logging.getLogger("aiplat.gateway")


class Failover:
    """The search for an answer to one request; `sent` says whether an upstream has got it."""

    def __init__(
        self, context: RequestContext, backends: Backends, asked: ModelRequest, request: UpstreamRequest
    ) -> None:
        self.sent = False
        self._context = context
        self._backends = backends
        self._asked = asked
        self._request = request

    async def response(self) -> UpstreamResponse:
        """Ask the model and, where it fails before its first byte, its fallbacks in their order.

        The caller closes the response.

        Raises:
            ApiError: nobody could be asked; of several failures the last is reported.
        """
        pools, model = self._backends.pools, self._asked.model
        pools.of(model).asked_at = time.time()
        targets = [model, *self._fallbacks()]
        for number, target in enumerate(targets, start=1):
            last = number == len(targets)
            pool = pools.of(target)
            if not last and pool.all_aside():
                continue
            try:
                response = await self._ask(pool)
                error = await self._error_in(target, response)
            except ApiError as failed:
                if last:
                    raise
                log.warning("model %s: %s; asking the next", target.name, failed.message)
                continue
            status = response.http.status
            if error and status < 400:
                status = error.status
            if last or status not in _FALL_BACK:
                self._settle(target)
                if error:
                    raise error
                return response
            log.warning("model %s answered %d; asking the next", target.name, status)
            if error is None:
                response.close()
        raise errors.not_ready(model.name)

    def _fallbacks(self) -> list[Model]:
        model, table = self._asked.model, self._backends.table
        names = model.fallbacks or table.fallbacks.get(model.name, ())
        if not names:
            return []
        found = [m for name in names if (m := table.find(name)) is not None and m is not model]
        return [m for m in found if self._context.may_use(m) and self._asked.admitted.covers(m.name)]

    async def _error_in(self, target: Model, response: UpstreamResponse) -> ApiError | None:
        """Return the error that an answer is, whatever its status says, and close the answer then.

        What an engine of the site refuses passes as it is; a provider's words are looked through first.
        """
        try:
            found = await self._error_found(target, response)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("model %s: %s: %s", target.name, type(error).__name__, error)
            found = errors.broken(target.name)
        except BaseException:
            response.close()
            raise
        if found is not None:
            response.close()
        return found

    async def _error_found(self, target: Model, response: UpstreamResponse) -> ApiError | None:
        providers, http, found = self._backends.providers, response.http, None
        if http.status >= 400:
            return await error_of(providers, target, http) if target.provider else None
        json = http.headers.get("content-type", "").startswith("application/json")
        if json and not self._request.streams:
            found = error_in(providers, target, await response.begin(LOOK_BYTES))
        if found is None and response.untranslatable:
            found = errors.broken(target.name)
        return found

    def _settle(self, target: Model) -> None:
        context, backends = self._context, self._backends
        context.model = target.name
        if target.name != context.asked_model:
            backends.counters.fallbacks(context.asked_model, target.name)
            backends.audit("fallback.used", context, asked=context.asked_model, model=target.name)

    async def _ask(self, pool: Pool) -> UpstreamResponse:
        last: Exception | None = None
        tried: set[str] = set()
        by_prefix = pool.several and self._backends.table.by_prefix
        blocks = prefix_blocks(self._request.document) if by_prefix else ()
        for number, pause in enumerate(_PAUSES):
            if number:
                self._backends.counters.retried()
                await asyncio.sleep(0 if pool.untried(tried) else pause)
            await pool.ready()
            replica = pool.choose(blocks, tried)
            tried.add(replica.url)
            self._keep_inside(pool, replica)
            try:
                response = await self._ask_replica(pool, replica)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                last = error
                replica.failed()
                if not isinstance(error, _TRY_AGAIN):
                    break
                continue
            if response.http.status not in _BUSY or not pool.untried(tried):
                replica.worked()
                return response
            # A request that no replica can answer with anything but 500 must not set all of them aside.
            if response.http.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                replica.failed()
            response.close()
        log.warning("model %s: %s: %s", pool.model.name, type(last).__name__, last)
        name = pool.model.name
        raise errors.not_ready(name) if isinstance(last, _NOT_ASKED) else errors.broken(name)

    def _keep_inside(self, pool: Pool, replica: Replica) -> None:
        # Looked at before every call and not only when routes are read: a discovered model has no file.
        if reason := self._backends.upstreams.egress.refuses(replica.url):
            log.error("model %s: %s", pool.model.name, reason)
            self._backends.audit("egress.refused", self._context, model=pool.model.name, reason=reason)
            raise errors.may_not_leave(pool.model.name)

    async def _ask_replica(self, pool: Pool, replica: Replica) -> UpstreamResponse:
        rejected = self._backends.rejected_fields
        known = rejected.of(pool.model)
        response, added = await self._post(pool, replica, known)
        if not added or response.http.status not in _REJECTED:
            return response
        # Not the client's own words may be what is refused: asked once more without them.
        again = set(named_in(await _words(response.http), added))
        response.close()
        again = again or added
        response, _ = await self._post(pool, replica, known | again)
        if response.http.status < 400:
            rejected.learn(pool.model, again)
        return response

    async def _post(
        self, pool: Pool, replica: Replica, without: Collection[str]
    ) -> tuple[UpstreamResponse, set[str]]:
        """Return the response, and the names of the fields that the gateway added to the request."""
        context, upstreams, model = self._context, self._backends.upstreams, pool.model
        document, added = sent(model, self._request.path, self._request.document, without)
        response = UpstreamResponse(pool, replica)
        try:
            out = self._outgoing(model, document)
            response.translator = out.translator
            headers = {"content-type": "application/json", "x-request-id": context.id.decode(), **out.headers}
            if model.provider and not upstreams.egress.inside(replica.url):
                self._backends.audit("data.left_site", context, model=model.name, provider=model.provider)
            if context.trace is not None:
                headers |= context.trace.asks(model, out.path, replica.url)
            self.sent = True
            http = await upstreams.post(replica.at(out.path), out.body, headers)
        except BaseException as error:
            if isinstance(error, _NOT_ASKED):
                self.sent = False
            if context.trace is not None:
                context.trace.failed(error)
            response.close()
            raise
        if model.provider:
            self._backends.counters.provider_answered(model.name, model.provider, http.status)
        return response.arrived(http, out.translator), added

    def _outgoing(self, model: Model, document: dict[str, Any]) -> Outgoing:
        path, backends = self._request.path, self._backends
        if not model.provider:
            return Outgoing(path, written(document))
        reserved = self._asked.admitted.answer_tokens
        return backends.providers.outgoing(model, path, document, backends.answers.share(), reserved)


async def _words(http: aiohttp.ClientResponse) -> bytes:
    try:
        return await read_some(http, ERROR_BYTES)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return b""
