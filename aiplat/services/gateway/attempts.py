"""Finds who answers: replicas of the model, then its fallbacks, while no byte of an answer has come."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from aiplat.services.gateway import refusals
from aiplat.services.gateway.exchange import Exchange
from aiplat.services.gateway.models import Model
from aiplat.services.gateway.prefixes import prefix_blocks
from aiplat.services.gateway.providers import Outgoing, Translator, refusal_of
from aiplat.services.gateway.replicas import Pool, Replica

if TYPE_CHECKING:
    from aiplat.services.gateway.calls import Backends

_PAUSES = (0.0, 0.05, 0.25, 1.0)
_NOT_ASKED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_TRY_AGAIN = (*_NOT_ASKED, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
# What another replica of the same model may do better, and what another model may.
_BUSY = frozenset({502, 503, 504})
_FALL_BACK = frozenset({401, 403, 404, 408, 429, 500, *_BUSY, 529})

log = logging.getLogger("aiplat.gateway")


@dataclass(frozen=True, slots=True)
class Want:
    """What is asked: a path of OpenAI's or Ollama's API, and the body for a model, which has its name in it.

    `document` is the request as the client sent it: its prompt decides which replica is best.
    """

    path: str
    body: Callable[[Model], bytes]
    document: dict[str, Any]


class Answer:
    """An upstream's answer whose headers are here; counted as in flight until closed.

    `translator` puts a provider's answer into OpenAI's form, where it has another.
    """

    def __init__(self, pool: Pool, replica: Replica) -> None:
        self.translator: Translator | None = None
        self._pool = pool
        self._replica = replica
        self._response: aiohttp.ClientResponse | None = None
        pool.in_flight += 1
        replica.in_flight += 1

    @property
    def response(self) -> aiohttp.ClientResponse:
        """The answer itself."""
        if self._response is None:
            raise RuntimeError("the upstream has not answered yet")
        return self._response

    def arrived(self, response: aiohttp.ClientResponse, translator: Translator | None) -> Answer:
        """Take the answer."""
        self._response, self.translator = response, translator
        return self

    def close(self) -> None:
        """Count it as done; a connection whose answer was not read to its end is given up."""
        self._pool.in_flight -= 1
        self._replica.in_flight -= 1
        if self._response is not None:
            self._response.close()


async def find_answer(exchange: Exchange, backends: Backends, model: Model, want: Want) -> Answer:
    """Ask the model and, where it fails before its first byte, its fallbacks in their order.

    The caller closes the answer.

    Raises:
        Refusal: nobody could be asked; of several failures the last is told.
    """
    backends.pools.of(model).asked_at = time.time()
    targets = [model, *_fallbacks(exchange, backends, model)]
    for number, target in enumerate(targets, start=1):
        last = number == len(targets)
        pool = backends.pools.of(target)
        if not last and pool.all_aside():
            continue
        try:
            answer = await _ask(exchange, backends, pool, want)
        except refusals.Refusal as refusal:
            if last:
                raise
            log.warning("model %s: %s; asking the next", target.name, refusal.message)
            continue
        if last or answer.response.status not in _FALL_BACK:
            _settle(exchange, backends, target)
            return await _good(backends, target, answer)
        log.warning("model %s answered %d; asking the next", target.name, answer.response.status)
        answer.close()
    raise refusals.not_ready(model.name)


async def _good(backends: Backends, target: Model, answer: Answer) -> Answer:
    # What an engine of the site refuses passes as it is; a provider's words are looked through first.
    if not target.provider or answer.response.status < 400:
        return answer
    try:
        raise await refusal_of(backends.providers, target, answer.response)
    finally:
        answer.close()


def _fallbacks(exchange: Exchange, backends: Backends, model: Model) -> list[Model]:
    names = model.fallbacks or backends.table.fallbacks.get(model.name, ())
    if not names:
        return []
    found = [m for name in names if (m := backends.table.find(name)) is not None and m is not model]
    return [m for m in found if backends.gate.may_use(exchange, m.name)]


def _settle(exchange: Exchange, backends: Backends, target: Model) -> None:
    exchange.model = target.name
    if target.name != exchange.asked_model:
        backends.counters.fallbacks(exchange.asked_model, target.name)
        backends.audit("fallback.used", exchange, asked=exchange.asked_model, model=target.name)


async def _ask(exchange: Exchange, backends: Backends, pool: Pool, want: Want) -> Answer:
    last: Exception | None = None
    tried: set[str] = set()
    blocks = prefix_blocks(want.document) if pool.several and backends.table.by_prefix else ()
    for number, pause in enumerate(_PAUSES):
        if number:
            backends.counters.retried()
            await asyncio.sleep(0 if pool.untried(tried) else pause)
        await pool.ready()
        replica = pool.choose(blocks, tried)
        tried.add(replica.url)
        _keep_inside(exchange, backends, pool, replica)
        try:
            answer = await _ask_replica(exchange, backends, pool, replica, want)
        except (aiohttp.ClientError, TimeoutError) as error:
            last = error
            replica.failed()
            if not isinstance(error, _TRY_AGAIN):
                break
            continue
        if answer.response.status not in _BUSY or not pool.untried(tried):
            replica.worked()
            return answer
        replica.failed()
        answer.close()
    log.warning("model %s: %s: %s", pool.model.name, type(last).__name__, last)
    name = pool.model.name
    raise refusals.not_ready(name) if isinstance(last, _NOT_ASKED) else refusals.broken(name)


def _keep_inside(exchange: Exchange, backends: Backends, pool: Pool, replica: Replica) -> None:
    # Looked at before every call and not only when routes are read: a discovered model has no file.
    if reason := backends.upstreams.egress.refuses(replica.url):
        log.error("model %s: %s", pool.model.name, reason)
        backends.audit("egress.refused", exchange, model=pool.model.name, reason=reason)
        raise refusals.may_not_leave(pool.model.name)


async def _ask_replica(
    exchange: Exchange, backends: Backends, pool: Pool, replica: Replica, want: Want
) -> Answer:
    model, body = pool.model, want.body(pool.model)
    out = backends.providers.outgoing(model, want.path, body) if model.provider else Outgoing(want.path, body)
    headers = {"content-type": "application/json", "x-request-id": exchange.id.decode(), **out.headers}
    if model.provider and not backends.upstreams.egress.inside(replica.url):
        backends.audit("data.left_site", exchange, model=model.name, provider=model.provider)
    answer = Answer(pool, replica)
    try:
        response = await backends.upstreams.post(replica.at(out.path), out.body, headers)
    except BaseException:
        answer.close()
        raise
    if model.provider:
        backends.counters.provider_answered(model.name, model.provider, response.status)
    return answer.arrived(response, out.translator)
