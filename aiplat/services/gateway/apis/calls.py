"""One call of a model from request body to counted usage; the same for OpenAI's and Ollama's APIs."""

from __future__ import annotations

from typing import Any

from aiplat.services.bounds import ANSWER_SECONDS, MOST_COUNT
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.http.bodies import understood
from aiplat.services.gateway.http.deadline import Deadline
from aiplat.services.gateway.requests.admission import ModelRequest
from aiplat.services.gateway.requests.admitted import Admitted
from aiplat.services.gateway.requests.context import ClientLeft, RequestContext
from aiplat.services.gateway.requests.counts import TokenCounts
from aiplat.services.gateway.requests.estimate import estimate
from aiplat.services.gateway.requests.fields import check_fields, lower
from aiplat.services.gateway.requests.usage import TokenUsage
from aiplat.services.gateway.routing.models import Model
from aiplat.services.gateway.upstream.backends import Backends
from aiplat.services.gateway.upstream.failover import Failover
from aiplat.services.gateway.upstream.providers import TranslatedParser
from aiplat.services.gateway.upstream.relay import relay, while_connected
from aiplat.services.gateway.upstream.response import UpstreamRequest
from aiplat.services.gateway.upstream.stream_parsers import StreamParser


async def read_request(context: RequestContext, backends: Backends) -> ModelRequest:
    """Read the body, find its model, and ask whether the request may go on.

    Raises:
        ApiError: the body is not a JSON object, names no model or one not served; or it is not admitted.
    """
    backends.admission.check_rates(context.key)
    raw = await context.body(backends.memory)
    body = understood(raw)
    context.hold(backends.memory, body.weight)
    document = body.document
    check_fields(document)
    name = document.get("model", document.get("name"))
    if not isinstance(name, str) or not name:
        raise errors.bad_request("you must provide a model parameter", param="model")
    model = backends.table.find(name)
    if model is None:
        raise errors.no_such_model(name, backends.names_for(context))
    context.model = context.asked_model = model.name
    guess = estimate(context.path, document, len(raw))
    admitted = await backends.admission.admit(context, model, document, guess)
    return admitted_request(context, model, document, admitted)


def admitted_request(
    context: RequestContext, model: Model, document: dict[str, Any], admitted: Admitted
) -> ModelRequest:
    """Return the request as it was admitted: with its answers bound to what was set aside for them."""
    context.admitted = admitted
    if (most := admitted.bound) is not None:
        lower(context.path, document, most)
        context.more_headers.append((b"x-aiplat-max-tokens", b"%d" % most))
    return ModelRequest(model, document, admitted)


async def call(
    context: RequestContext,
    backends: Backends,
    asked: ModelRequest,
    request: UpstreamRequest,
    parser: StreamParser,
) -> None:
    """Ask for an answer and relay it.

    What was used is left in `context.usage`.

    Raises:
        ApiError: nobody could be asked.
        ClientLeft: the client went away; the engine was told to stop.
    """
    failover = Failover(context, backends, asked, request)

    async def work() -> None:
        response = await failover.response()
        try:
            translated = TranslatedParser(response.translator, parser) if response.translator else parser
            await relay(context, response, translated)
        finally:
            response.close()

    try:
        with Deadline(ANSWER_SECONDS):
            await while_connected(context, work())
    except ClientLeft:
        if not context.answered and failover.sent:
            # Whoever was asked has read the prompt, and a provider bills it.
            context.usage = asked.admitted.estimate._replace(completion=0)
        raise
    finally:
        if context.answered:
            served = context.status < 400
            context.usage = used(asked.admitted.estimate, parser) if served else TokenUsage()


def used(guess: TokenUsage, parser: StreamParser) -> TokenUsage:
    """Return what an answer came to: the engine's own counts, and estimates where it gave none."""
    counted = parser.counted() or TokenCounts()
    completion, answers = counted.completion, guess.completion > 0
    if completion is None:
        completion = min(parser.written(), MOST_COUNT) if answers else 0
    return TokenUsage(
        prompt=guess.prompt if counted.prompt is None else counted.prompt,
        completion=completion,
        estimated=counted.prompt is None or (answers and counted.completion is None),
    )
