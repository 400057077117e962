"""One call of a model from request body to counted usage; the same for OpenAI's and Ollama's APIs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from aiplat.services.bounds import ANSWER_SECONDS, MOST_COUNT
from aiplat.services.gateway import refusals
from aiplat.services.gateway.attempts import Want, find_answer
from aiplat.services.gateway.bodies import Memory, understood
from aiplat.services.gateway.counts import Counted
from aiplat.services.gateway.deadline import Deadline
from aiplat.services.gateway.estimate import estimate
from aiplat.services.gateway.exchange import ClientLeft, Exchange
from aiplat.services.gateway.fields import check_fields
from aiplat.services.gateway.models import Model, ModelTable
from aiplat.services.gateway.providers import Providers, Translated
from aiplat.services.gateway.proxy import Upstreams, relay, while_connected
from aiplat.services.gateway.readers import Reader
from aiplat.services.gateway.replicas import Pools
from aiplat.services.gateway.rooms import Room
from aiplat.services.gateway.sent import Untaken
from aiplat.services.gateway.usage import Record, Usage


@dataclass(frozen=True)
class Asked:
    """A request body that was understood: which model, and the document."""

    model: Model
    document: dict[str, Any]

    @property
    def streams(self) -> bool:
        """Whether `stream` is true in the document."""
        return self.document.get("stream") is True


class Gate(Protocol):
    """Decides whether a request that was understood may go on: scopes, budgets, rates."""

    def let_ask(self, exchange: Exchange) -> None:
        """Return where the key may ask anything now; called before the body is read.

        Raises:
            Refusal: it may not.
        """

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

    def let_ask(self, exchange: Exchange) -> None:
        """Let it ask."""

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
    memory: Memory
    counters: Counters
    pools: Pools
    providers: Providers = field(default_factory=Providers)
    gate: Gate = field(default_factory=OpenGate)
    audit: Audit = no_audit
    answers: Room = field(default_factory=Room)
    untaken: Untaken = field(default_factory=Untaken)

    def names_for(self, exchange: Exchange) -> list[str]:
        """Return the names of the models that the request's key may use."""
        return [m.name for m in self.table.all() if exchange.may_use(m)]


async def read_asked(exchange: Exchange, backends: Backends) -> Asked:
    """Read the body, find its model, and ask whether the request may go on.

    Raises:
        Refusal: the body is not a JSON object, names no model or one not served; or the gate says no.
    """
    backends.gate.let_ask(exchange)
    raw = await exchange.body(backends.memory)
    body = understood(raw)
    exchange.hold(backends.memory, body.weight)
    document = body.document
    check_fields(document)
    name = document.get("model", document.get("name"))
    if not isinstance(name, str) or not name:
        raise refusals.bad_request("you must provide a model parameter", param="model")
    model = backends.table.find(name)
    if model is None:
        raise refusals.no_such_model(name, backends.names_for(exchange))
    exchange.model = exchange.asked_model = model.name
    exchange.guess = estimate(exchange.path, document, len(raw))
    asked = Asked(model, document)
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
            await relay(exchange, answer, translated)
        finally:
            answer.close()

    try:
        with Deadline(ANSWER_SECONDS):
            await while_connected(exchange, work())
    except ClientLeft:
        if not exchange.answered and exchange.sent_on:
            # Whoever was asked has read the prompt, and a provider bills it.
            exchange.usage = replace(exchange.guess, completion=0)
        raise
    finally:
        if exchange.answered:
            exchange.usage = used(exchange.guess, reader) if exchange.status < 400 else Usage()


def used(guess: Usage, reader: Reader) -> Usage:
    """Return what an answer came to: the engine's own counts, and estimates where it gave none."""
    counted = reader.counted() or Counted()
    completion, answers = counted.completion, guess.completion > 0
    if completion is None:
        completion = min(reader.written(), MOST_COUNT) if answers else 0
    return Usage(
        prompt=guess.prompt if counted.prompt is None else counted.prompt,
        completion=completion,
        estimated=counted.prompt is None or (answers and counted.completion is None),
    )
