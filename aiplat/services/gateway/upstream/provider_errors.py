"""What upstreams say when they refuse or fail, in the many shapes they have for it, as one sentence."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator
from typing import Any

import aiohttp

from aiplat.services.bounds import ERROR_BYTES
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.http.bodies import too_many_values
from aiplat.services.gateway.http.errors import ApiError
from aiplat.services.gateway.routing.models import Model
from aiplat.services.gateway.upstream.connections import read_some
from aiplat.services.gateway.upstream.document import ADDED
from aiplat.services.gateway.upstream.providers import Providers

_PASSED_ON = frozenset({400, 404, 408, 409, 413, 422, 429})
_ANSWERS = ("choices", "data", "output", "message", "embeddings", "embedding", "content")
_LONGEST = 2000
_DEEP = 5
_UNREADABLE = "nothing that can be read"

log = logging.getLogger("aiplat.gateway")


async def error_of(providers: Providers, model: Model, answer: aiohttp.ClientResponse) -> ApiError:
    """Return what a client is told of a provider's error: in OpenAI's form, and never with the key.

    Raises:
        aiohttp.ClientError, TimeoutError, ValueError: it broke off.
    """
    said = providers.without_key(model, message_of(await read_some(answer, ERROR_BYTES)))
    log.warning("provider %s answered %d for %s", model.provider, answer.status, model.name)
    if answer.status in {401, 403}:
        return errors.provider_refused(model.name)
    if answer.status not in _PASSED_ON:
        return errors.broken(model.name)
    wait = answer.headers.get("retry-after", "")
    return ApiError(
        answer.status,
        f"the provider of '{model.name}' says: {said}",
        code="provider_refused",
        retry_after=int(wait) if wait.isdecimal() and len(wait) < 10 else None,
    )


def error_in(providers: Providers, model: Model, raw: bytes | None) -> ApiError | None:
    """Return the error that a document under a good status is; None for an answer, or a long one."""
    if raw is None or b"error" not in raw or too_many_values(raw):
        return None
    document = _read(raw)
    error = _error(document) if isinstance(document, dict) else None
    if not error:
        return None
    log.warning("model %s answered with an error under a good status", model.name)
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    status = 429 if code in (429, "429", "rate_limit_exceeded") else 502
    return errors.said_error(status, model.name, providers.without_key(model, message_of(raw)))


def _error(document: dict[str, Any]) -> Any:
    if any(isinstance(document.get(name), (list, dict)) and document[name] for name in _ANSWERS):
        return None
    return document.get("error") or (
        document if document.get("object", document.get("type")) == "error" else None
    )


def named_in(raw: bytes, added: Collection[str]) -> Iterator[str]:
    """Yield those of the fields that the gateway added which an error speaks of."""
    for name in added:
        if any(word.encode() in raw for word in ADDED[name]):
            yield name


def message_of(raw: bytes) -> str:
    """Return the sentence in an error document of any known shape, or the text that it is."""
    document = _read(raw)
    if document is None:
        text = raw.decode("utf-8", "replace").strip()
        said = "" if text[:1] in ("<", "{", "[") else text
    else:
        said = "; ".join(_sentences(document, _DEEP))
    cleaned = "".join(c if c.isprintable() else " " for c in said).strip()
    return cleaned[:_LONGEST] or _UNREADABLE


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _sentences(value: Any, depth: int) -> Iterator[str]:
    """Yield the sentences of an error: OpenAI's, Mistral's, FastAPI's, RFC 9457's and lists of them."""
    if depth == 0 or value is None:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value[:10]:
            yield from _sentences(item, depth - 1)
    elif isinstance(value, dict):
        name = next(
            (n for n in ("error", "message", "detail", "msg", "errors", "title") if value.get(n)), None
        )
        place = value.get("loc")
        where = ".".join(map(str, place)) + ": " if isinstance(place, list) and place else ""
        yield from (where + said for said in _sentences(value.get(name), depth - 1)) if name else ()
