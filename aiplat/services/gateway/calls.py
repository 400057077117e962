"""One call of a model from request body to counted usage; the same for OpenAI's and Ollama's APIs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiplat.services.gateway import refusals
from aiplat.services.gateway.attempts import Want, find_answer
from aiplat.services.gateway.exchange import BodyBudget, Exchange
from aiplat.services.gateway.models import Model, ModelTable
from aiplat.services.gateway.providers import Providers, Translated
from aiplat.services.gateway.proxy import Upstreams, relay, while_connected
from aiplat.services.gateway.readers import Reader
from aiplat.services.gateway.replicas import Pools
from aiplat.services.gateway.usage import Record, Usage


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
        document = self.document
        if not any(name in document for name in dropped):
            changes = {k: v for k, v in changes.items() if k not in document or document[k] != v}
            if not changes:
                return self.raw
            if not changes.keys() & document.keys() and self.raw.endswith(b"}"):
                # Only new fields: they are put before the last brace, and a long prompt is not copied
                # through the encoder. The document has at least its model, so a comma is right.
                more = json.dumps(changes, ensure_ascii=False, separators=(",", ":"))
                return b"%b,%b" % (self.raw[:-1], more[1:].encode())
        fresh = {k: v for k, v in document.items() if k not in dropped} | changes
        return json.dumps(fresh, ensure_ascii=False).encode()


class Gate(Protocol):
    """Decides whether a request that was understood may go on: scopes, budgets, rates."""

    async def admit(self, exchange: Exchange, asked: Asked) -> None:
        """Return where the request may go on.

        Raises:
            Refusal: it may not.
        """

    def may_use(self, exchange: Exchange, model: str) -> bool:
        """Whether the request's key may be answered by `model`, a fallback of what it asked for."""

    def settle(self, exchange: Exchange, record: Record) -> None:
        """Take what a request came to; called once for every request, also for refused ones."""


class Audit(Protocol):
    """Takes events of the data path; must neither block nor raise."""

    def __call__(self, event: str, exchange: Exchange, **facts: str) -> None:
        """Take one event, such as `fallback.used`."""


class Counters(Protocol):
    """Counts what happens between request and answer."""

    def retried(self) -> None:
        """An upstream was asked again before its first byte."""

    def fallbacks(self, asked: str, answered: str) -> None:
        """Another model answered than the one that was asked."""

    def provider_answered(self, model: str, provider: str, status: int) -> None:
        """A provider answered, with an HTTP status."""


class OpenGate:
    """Lets every key use every model."""

    async def admit(self, exchange: Exchange, asked: Asked) -> None:
        """Let it go on."""

    def may_use(self, exchange: Exchange, model: str) -> bool:  # noqa: ARG002 - the protocol's names
        """Say yes."""
        return True

    def settle(self, exchange: Exchange, record: Record) -> None:
        """Keep no accounts."""


def no_audit(event: str, exchange: Exchange, **facts: str) -> None:
    """Keep no events."""


@dataclass(frozen=True)
class Backends:
    """What a call needs of the gateway: models, their replicas, connections, and memory for bodies."""

    table: ModelTable
    upstreams: Upstreams
    budget: BodyBudget
    counters: Counters
    pools: Pools
    providers: Providers = field(default_factory=Providers)
    gate: Gate = field(default_factory=OpenGate)
    audit: Audit = no_audit

    def names_for(self, exchange: Exchange) -> list[str]:
        """Return the names of the models that the request's key may use."""
        return [m.name for m in self.table.all() if exchange.may_use(m)]


async def read_asked(exchange: Exchange, backends: Backends) -> Asked:
    """Read the body, find its model, and ask whether the request may go on.

    Raises:
        Refusal: the body is no JSON object, names no model, or one that is not served; or the gate says no.
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
        raise refusals.no_such_model(name, backends.names_for(exchange))
    exchange.model = exchange.asked_model = model.name
    asked = Asked(model, document, raw)
    await backends.gate.admit(exchange, asked)
    return asked


async def call(exchange: Exchange, backends: Backends, asked: Asked, want: Want, reader: Reader) -> None:
    """Ask for an answer and relay it.

    What was used is left in `exchange.usage`.

    Raises:
        Refusal: nobody could be asked.
        ClientLeft: the client went away; the engine was told to stop.
    """

    async def work() -> None:
        answer = await find_answer(exchange, backends, asked.model, want)
        try:
            translated = Translated(answer.translator, reader) if answer.translator else reader
            await relay(exchange, answer.response, translated)
        finally:
            answer.close()

    try:
        await while_connected(exchange, work())
    finally:
        if exchange.answered:
            exchange.usage = reader.usage() if exchange.status < 400 else Usage()
