"""Finds who answers: replicas of the model, then its fallbacks, while no byte of an answer has come."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp

from aiplat.services.bounds import ERROR_BYTES, LOOK_BYTES
from aiplat.services.gateway import refusals
from aiplat.services.gateway.bodies import written
from aiplat.services.gateway.exchange import Exchange
from aiplat.services.gateway.models import Model
from aiplat.services.gateway.prefixes import prefix_blocks
from aiplat.services.gateway.provider_errors import error_in, named_in, refusal_of
from aiplat.services.gateway.providers import Outgoing, Translator
from aiplat.services.gateway.proxy import read_some, sends_events, unpacked
from aiplat.services.gateway.refusals import Refusal
from aiplat.services.gateway.replicas import Pool, Replica
from aiplat.services.gateway.sent import sent

if TYPE_CHECKING:
    from aiplat.services.gateway.calls import Backends

_PAUSES = (0.0, 0.05, 0.25, 1.0)
_NOT_ASKED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_TRY_AGAIN = (*_NOT_ASKED, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
# What another replica of the same model may do better, and what another model may.
_BUSY = frozenset({500, 502, 503, 504})
_UNTAKEN = frozenset({400, 422})
_FALL_BACK = frozenset({401, 403, 404, 408, 429, *_BUSY, 529})

log = logging.getLogger("aiplat.gateway")


@dataclass(frozen=True, slots=True)
class Want:
    """What is asked: a path of OpenAI's or Ollama's API, and the document as it was understood."""

    path: str
    document: dict[str, Any]


class Answer:
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
    def response(self) -> aiohttp.ClientResponse:
        """The answer itself."""
        if self._response is None:
            raise RuntimeError("the upstream has not answered yet")
        return self._response

    def arrived(self, response: aiohttp.ClientResponse, translator: Translator | None) -> Answer:
        """Take the answer."""
        self._response, self.translator = response, translator
        return self

    def rest(self) -> AsyncIterator[bytes]:
        """Return what comes of the answer after `begun`, in pieces and unpacked."""
        return self._rest or unpacked(self.response)

    @property
    def untranslatable(self) -> bool:
        """Whether events are to be translated, and none were sent."""
        return self.translator is not None and self.translator.events and not sends_events(self.response)

    async def begin(self, most: int) -> bytes | None:
        """Return the whole answer where it has `most` bytes or less, else None.

        Raises:
            aiohttp.ClientError, TimeoutError, ValueError: it broke off.
        """
        self._rest = unpacked(self.response)
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


async def find_answer(exchange: Exchange, backends: Backends, model: Model, want: Want) -> Answer:
    """Ask the model and, where it fails before its first byte, its fallbacks in their order.

    The caller closes the answer.

    Raises:
        Refusal: nobody could be asked; of several failures the last is reported.
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
            refusal = await _error_in(backends, target, answer, peek=not _streams(want))
        except refusals.Refusal as error:
            if last:
                raise
            log.warning("model %s: %s; asking the next", target.name, error.message)
            continue
        status = answer.response.status
        if refusal and status < 400:
            status = refusal.status
        if last or status not in _FALL_BACK:
            _settle(exchange, backends, target)
            if refusal:
                raise refusal
            return answer
        log.warning("model %s answered %d; asking the next", target.name, status)
        if refusal is None:
            answer.close()
    raise refusals.not_ready(model.name)


def _streams(want: Want) -> bool:
    """Whether an answer may come in pieces that are documents of their own: then none is waited for."""
    return want.path in ("/api/chat", "/api/generate") and want.document.get("stream") is not False


async def _error_in(backends: Backends, target: Model, answer: Answer, *, peek: bool) -> Refusal | None:
    """Return the error that an answer is, whatever its status says; closes the answer if it returns one.

    What an engine of the site refuses passes as it is; a provider's words are looked through first.
    """
    response = answer.response
    try:
        if response.status >= 400:
            found = await refusal_of(backends.providers, target, response) if target.provider else None
        elif peek and response.headers.get("content-type", "").startswith("application/json"):
            found = error_in(backends.providers, target, await answer.begin(LOOK_BYTES))
        else:
            found = None
        if found is None and response.status < 400 and answer.untranslatable:
            found = refusals.broken(target.name)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        log.warning("model %s: %s: %s", target.name, type(error).__name__, error)
        found = refusals.broken(target.name)
    except BaseException:
        answer.close()
        raise
    if found is not None:
        answer.close()
    return found


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
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            last = error
            replica.failed()
            if not isinstance(error, _TRY_AGAIN):
                break
            continue
        if answer.response.status not in _BUSY or not pool.untried(tried):
            replica.worked()
            return answer
        # A request that no replica can answer with anything but 500 must not set all of them aside.
        if answer.response.status != HTTPStatus.INTERNAL_SERVER_ERROR:
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
    model = pool.model
    known = backends.untaken.of(model)
    answer, added = await _ask_with(exchange, backends, (pool, replica), want, known)
    if not added or answer.response.status not in _UNTAKEN:
        return answer
    # Not the client's own words may be what is refused: asked once more without them.
    again = set(named_in(await _words(answer), added))
    answer.close()
    again = again or added
    answer, _ = await _ask_with(exchange, backends, (pool, replica), want, known | again)
    if answer.response.status < 400:
        backends.untaken.learn(model, again)
    return answer


async def _words(answer: Answer) -> bytes:
    try:
        return await read_some(answer.response, ERROR_BYTES)
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return b""


async def _ask_with(
    exchange: Exchange,
    backends: Backends,
    place: tuple[Pool, Replica],
    want: Want,
    without: Collection[str],
) -> tuple[Answer, set[str]]:
    pool, replica = place
    model = pool.model
    document, added = sent(model, want.path, want.document, without)
    answer = Answer(pool, replica)
    try:
        out = _outgoing(exchange, backends, model, want.path, document)
        answer.translator = out.translator
        headers = {"content-type": "application/json", "x-request-id": exchange.id.decode(), **out.headers}
        if model.provider and not backends.upstreams.egress.inside(replica.url):
            backends.audit("data.left_site", exchange, model=model.name, provider=model.provider)
        exchange.sent_on = True
        response = await backends.upstreams.post(replica.at(out.path), out.body, headers)
    except _NOT_ASKED:
        exchange.sent_on = False
        answer.close()
        raise
    except BaseException:
        answer.close()
        raise
    if model.provider:
        backends.counters.provider_answered(model.name, model.provider, response.status)
    return answer.arrived(response, out.translator), added


def _outgoing(
    exchange: Exchange, backends: Backends, model: Model, path: str, document: dict[str, Any]
) -> Outgoing:
    if not model.provider:
        return Outgoing(path, written(document))
    return backends.providers.outgoing(model, path, document, backends.answers.share(), exchange.set_aside)
