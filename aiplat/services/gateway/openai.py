"""OpenAI's paths: /v1/models, chat completions, completions and embeddings; Ollama's own are in ollama."""

from __future__ import annotations

from typing import Any

from aiplat.services.gateway import refusals
from aiplat.services.gateway.attempts import Want
from aiplat.services.gateway.calls import Asked, Backends, call, read_asked
from aiplat.services.gateway.exchange import Exchange
from aiplat.services.gateway.models import Model
from aiplat.services.gateway.readers import DocumentReader, Reader, SseReader


def _entry(model: Model) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": "aiplat",
        "aliases": list(model.aliases),
    }


async def list_models(exchange: Exchange, backends: Backends) -> None:
    """GET /v1/models: every model once; its other names are in `aliases`."""
    data = [_entry(m) for m in backends.table.all() if exchange.may_use(m)]
    await exchange.reply(200, {"object": "list", "data": data})


async def one_model(exchange: Exchange, backends: Backends) -> None:
    """GET /v1/models/NAME."""
    name = exchange.path.removeprefix("/v1/models/")
    model = backends.table.find(name)
    if model is None or not exchange.may_use(model):
        raise refusals.no_such_model(name, backends.names_for(exchange))
    await exchange.reply(200, _entry(model))


async def generate(exchange: Exchange, backends: Backends) -> None:
    """POST /v1/chat/completions and /v1/completions, whole or streamed.

    The usage frame of a stream is always asked for, and kept from clients that did not ask.
    """
    asked = await read_asked(exchange, backends)
    if not asked.streams:
        await _pass(exchange, backends, asked, DocumentReader())
        return
    wanted = (asked.document.get("stream_options") or {}).get("include_usage") is True
    await _pass(exchange, backends, asked, SseReader(strip=not wanted))


async def embed(exchange: Exchange, backends: Backends) -> None:
    """POST /v1/embeddings."""
    asked = await read_asked(exchange, backends)
    await _pass(exchange, backends, asked, DocumentReader(writes=False))


async def _pass(exchange: Exchange, backends: Backends, asked: Asked, reader: Reader) -> None:
    await call(exchange, backends, asked, Want(exchange.path, asked.document), reader)
