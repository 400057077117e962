"""OpenAI's paths: /v1/models, chat completions, completions and embeddings; Ollama's own are in ollama."""

from __future__ import annotations

from typing import Any

from aiplat.services.gateway.apis.calls import call, read_request
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.requests.admission import ModelRequest
from aiplat.services.gateway.requests.context import RequestContext
from aiplat.services.gateway.routing.models import Model
from aiplat.services.gateway.upstream.backends import Backends
from aiplat.services.gateway.upstream.response import UpstreamRequest
from aiplat.services.gateway.upstream.stream_parsers import DocumentParser, SseParser, StreamParser


def _entry(model: Model) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": "aiplat",
        "aliases": list(model.aliases),
    }


async def list_models(context: RequestContext, backends: Backends) -> None:
    """GET /v1/models: every model once; its other names are in `aliases`."""
    data = [_entry(m) for m in backends.table.all() if context.may_use(m)]
    await context.reply(200, {"object": "list", "data": data})


async def one_model(context: RequestContext, backends: Backends) -> None:
    """GET /v1/models/NAME."""
    name = context.path.removeprefix("/v1/models/")
    model = backends.table.find(name)
    if model is None or not context.may_use(model):
        raise errors.no_such_model(name, backends.names_for(context))
    await context.reply(200, _entry(model))


async def generate(context: RequestContext, backends: Backends) -> None:
    """POST /v1/chat/completions and /v1/completions, whole or streamed.

    The usage frame of a stream is always asked for, and kept from clients that did not ask.
    """
    asked = await read_request(context, backends)
    if not asked.streams:
        await _pass(context, backends, asked, DocumentParser())
        return
    wanted = (asked.document.get("stream_options") or {}).get("include_usage") is True
    await _pass(context, backends, asked, SseParser(strip=not wanted))


async def embed(context: RequestContext, backends: Backends) -> None:
    """POST /v1/embeddings."""
    asked = await read_request(context, backends)
    await _pass(context, backends, asked, DocumentParser(writes=False))


async def _pass(
    context: RequestContext, backends: Backends, asked: ModelRequest, parser: StreamParser
) -> None:
    await call(context, backends, asked, UpstreamRequest(context.path, asked.document), parser)
