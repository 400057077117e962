"""Ollama's own paths, for its clients; models are only used through them, never changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import aiohttp

from aiplat.services.gateway.apis.calls import call, read_request
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.requests.admission import ModelRequest
from aiplat.services.gateway.requests.context import RequestContext
from aiplat.services.gateway.routing.models import Model
from aiplat.services.gateway.upstream.backends import Backends
from aiplat.services.gateway.upstream.document import left_out
from aiplat.services.gateway.upstream.response import UpstreamRequest
from aiplat.services.gateway.upstream.stream_parsers import JsonLinesParser


async def greet(context: RequestContext, _: Backends) -> None:
    """GET /: the words Ollama's clients look for to see that somebody is there."""
    body = b"Ollama is running"
    await context.start(200, [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"17")])
    await context.write(body, last=True)


async def use(context: RequestContext, backends: Backends) -> None:
    """POST /api/chat, /api/generate, /api/embed and /api/show.

    `keep_alive` and the options by which a model is loaded are left out, and it is said: with them one client
    could unload the model that others use, or have it loaded again for everybody.
    """
    asked = await _asked_of_ollama(context, backends)
    context.say_left_out(left_out(asked.model, asked.document))
    parser = JsonLinesParser(writes=context.path in ("/api/chat", "/api/generate"))
    await call(context, backends, asked, UpstreamRequest(context.path, asked.document), parser)


async def _asked_of_ollama(context: RequestContext, backends: Backends) -> ModelRequest:
    asked = await read_request(context, backends)
    if not asked.model.has(context.path):
        served_by = asked.model.provider or asked.model.engine
        raise errors.bad_request(
            f"the model '{asked.model.name}' is served by {served_by}; ask it under /v1",
            param="model",
        )
    return asked


async def refuse_change(context: RequestContext, _: Backends) -> None:
    """Everything that would change which models there are."""
    verb = context.path.removeprefix("/api/").partition("/")[0]
    raise errors.ApiError(
        403,
        f"'{verb}' is not offered here: the site's models are declared in site.yaml and installed by digest",
        code="models_are_declared",
    )


async def tags(context: RequestContext, backends: Backends) -> None:
    """GET /api/tags: every model once, with what its engine knows of it."""
    await context.reply(200, {"models": await _gather(context, backends, "/api/tags", fill=True)})


async def running(context: RequestContext, backends: Backends) -> None:
    """GET /api/ps: the models that are in memory."""
    await context.reply(200, {"models": await _gather(context, backends, "/api/ps", fill=False)})


async def version(context: RequestContext, backends: Backends) -> None:
    """GET /api/version: the engines' version, because clients choose features by it."""
    for model in _models_with(backends, "/api/version"):
        found = await _look(backends, model, "/api/version")
        if isinstance(found.get("version"), str):
            await context.reply(200, {"version": found["version"]})
            return
    raise errors.not_ready("any")


def _models_with(backends: Backends, path: str) -> list[Model]:
    return [m for m in backends.table.all() if m.has(path)]


async def _gather(context: RequestContext, backends: Backends, path: str, fill: bool) -> list[dict[str, Any]]:
    models = [m for m in _models_with(backends, path) if context.may_use(m)]
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
