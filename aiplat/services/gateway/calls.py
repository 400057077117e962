"""One call of a model from request body to counted usage; the same for OpenAI's and Ollama's APIs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aiplat.services.gateway import refusals
from aiplat.services.gateway.exchange import BodyBudget, Exchange
from aiplat.services.gateway.models import Model, ModelTable
from aiplat.services.gateway.proxy import Upstreams, relay, while_connected
from aiplat.services.gateway.readers import Reader
from aiplat.services.gateway.usage import Usage


@dataclass(frozen=True)
class Backends:
    """What a call needs of the gateway: models, connections to them, and memory for bodies."""

    table: ModelTable
    upstreams: Upstreams
    budget: BodyBudget


@dataclass(frozen=True)
class Asked:
    """A request body that was understood: which model, and the document as sent."""

    model: Model
    document: dict[str, Any]
    raw: bytes

    @property
    def streams(self) -> bool:
        """Whether `stream` is true in the document."""
        return self.document.get("stream") is True

    def changed(self, changes: dict[str, Any], dropped: tuple[str, ...] = ()) -> bytes:
        """Return the body with some fields set and some dropped; unchanged bytes where nothing differs."""
        fresh = {k: v for k, v in self.document.items() if k not in dropped} | changes
        return self.raw if fresh == self.document else json.dumps(fresh, ensure_ascii=False).encode()


async def read_asked(exchange: Exchange, backends: Backends) -> Asked:
    """Read the body and find its model.

    Raises:
        Refusal: the body is no JSON object, names no model, or one that is not served.
    """
    raw = await exchange.body(backends.budget)
    try:
        document = json.loads(raw)
    except ValueError as error:
        raise refusals.bad_request(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise refusals.bad_request("the body must be a JSON object")
    name = document.get("model", document.get("name"))
    if not isinstance(name, str) or not name:
        raise refusals.bad_request("you must provide a model parameter", param="model")
    model = backends.table.find(name)
    if model is None:
        raise refusals.no_such_model(name, backends.table.names())
    exchange.model = model.name
    return Asked(model, document, raw)


async def call(exchange: Exchange, backends: Backends, asked: Asked, body: bytes, reader: Reader) -> None:
    """Ask the model's engine, at the path the client used, and relay its answer.

    What was used is left in `exchange.usage`.

    Raises:
        Refusal: the engine could not be asked.
        ClientLeft: the client went away; the engine was told to stop.
    """

    async def work() -> None:
        upstream = await backends.upstreams.ask(asked.model, exchange.path, body, exchange.id)
        await relay(exchange, upstream, reader)

    try:
        await while_connected(exchange, work())
    finally:
        if exchange.answered:
            exchange.usage = reader.usage() if exchange.status < 400 else Usage()
