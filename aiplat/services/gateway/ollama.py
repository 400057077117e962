"""Ollama's own paths, for its clients; models are only used through them, never changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import aiohttp

from aiplat.services.gateway import refusals
from aiplat.services.gateway.attempts import Want
from aiplat.services.gateway.calls import Asked, Backends, call, read_asked
from aiplat.services.gateway.exchange import Exchange
from aiplat.services.gateway.models import Model
from aiplat.services.gateway.readers import LinesReader
from aiplat.services.gateway.sent import left_out


async def greet(exchange: Exchange, _: Backends) -> None:
    """GET /: the words Ollama's clients look for to see that somebody is there."""
    body = b"Ollama is running"
    await exchange.start(200, [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"17")])
    await exchange.write(body, last=True)


async def use(exchange: Exchange, backends: Backends) -> None:
    """POST /api/chat, /api/generate, /api/embed and /api/show.

    `keep_alive` and the options by which a model is loaded are left out, and it is said: with them one client
    could unload the model that others use, or have it loaded again for everybody.
    """
    asked = await _asked_of_ollama(exchange, backends)
    exchange.say_left_out(left_out(asked.model, asked.document))
    reader = LinesReader(writes=exchange.path in ("/api/chat", "/api/generate"))
    await call(exchange, backends, asked, Want(exchange.path, asked.document), reader)


async def _asked_of_ollama(exchange: Exchange, backends: Backends) -> Asked:
    asked = await read_asked(exchange, backends)
    if not asked.model.has(exchange.path):
        served_by = asked.model.provider or asked.model.engine
        raise refusals.bad_request(
            f"the model '{asked.model.name}' is served by {served_by}; ask it under /v1",
            param="model",
        )
    return asked


async def refuse_change(exchange: Exchange, _: Backends) -> None:
    """Everything that would change which models there are."""
    verb = exchange.path.removeprefix("/api/").partition("/")[0]
    raise refusals.Refusal(
        403,
        f"'{verb}' is not offered here: the site's models are declared in site.yaml and installed by digest",
        code="models_are_declared",
    )


async def tags(exchange: Exchange, backends: Backends) -> None:
    """GET /api/tags: every model once, with what its engine knows of it."""
    await exchange.reply(200, {"models": await _gather(exchange, backends, "/api/tags", fill=True)})


async def running(exchange: Exchange, backends: Backends) -> None:
    """GET /api/ps: the models that are in memory."""
    await exchange.reply(200, {"models": await _gather(exchange, backends, "/api/ps", fill=False)})


async def version(exchange: Exchange, backends: Backends) -> None:
    """GET /api/version: the engines' version, because clients choose features by it."""
    for model in _models_with(backends, "/api/version"):
        found = await _look(backends, model, "/api/version")
        if isinstance(found.get("version"), str):
            await exchange.reply(200, {"version": found["version"]})
            return
    raise refusals.not_ready("any")


def _models_with(backends: Backends, path: str) -> list[Model]:
    return [m for m in backends.table.all() if m.has(path)]


async def _gather(exchange: Exchange, backends: Backends, path: str, fill: bool) -> list[dict[str, Any]]:
    models = [m for m in _models_with(backends, path) if exchange.may_use(m)]
    answers = await asyncio.gather(*(_look(backends, m, path) for m in models))
    entries = []
    for model, answer in zip(models, answers, strict=True):
        listed = answer.get("models")
        entry = _entry_of(model, listed if isinstance(listed, list) else [])
        if entry is not None or fill:
            entries.append({**(entry or {}), "name": model.name, "model": model.name})
    return entries


def _entry_of(model: Model, listed: Iterable[Any]) -> dict[str, Any] | None:
    names = {model.engine_name, *model.aliases}
    return next((e for e in listed if isinstance(e, dict) and e.get("name") in names), None)


async def _look(backends: Backends, model: Model, path: str) -> dict[str, Any]:
    pool = backends.pools.of(model)
    if not pool.replicas:
        return {}
    replica = pool.choose()
    if backends.upstreams.egress.refuses(replica.url):
        return {}
    try:
        return await backends.upstreams.look(replica.at(path))
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return {}
