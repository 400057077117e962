"""Streams an upstream's answer to the client, piece by piece, and stops when the client leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import cast

import aiohttp

from aiplat.services.bounds import ERROR_BYTES
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.http.bodies import written
from aiplat.services.gateway.requests.context import ClientLeft, Header, RequestContext
from aiplat.services.gateway.upstream.connections import layers
from aiplat.services.gateway.upstream.response import EVENTS, UpstreamResponse, sends_events
from aiplat.services.gateway.upstream.stream_parsers import DocumentParser, StreamParser

_LINES = "application/x-ndjson"
# The upstream is gone, or what it wrote is not what its API says and cannot be turned into another's.
_CANNOT_GO_ON = (
    *(aiohttp.ClientError, TimeoutError),
    *(ValueError, KeyError, IndexError, TypeError, AttributeError),
)


async def relay(context: RequestContext, response: UpstreamResponse, parser: StreamParser) -> None:
    """Stream an upstream's answer to the client as it comes.

    Raises:
        ApiError: the answer, of which nothing was sent, turned out to be none.
        aiohttp.ClientError: the upstream broke off in the middle; the client has then been told as far as
            its format allows.
    """
    upstream = response.http
    content_type = upstream.headers.get("content-type", "application/json")
    if upstream.status >= 400:
        await _refuse(context, response, content_type)
        return
    if parser.events:
        # Nothing else could be told to the client as the events that it waits for.
        if not sends_events(upstream):
            raise errors.broken(context.model)
        content_type = EVENTS
    async with upstream:
        if not parser.whole:
            await context.start(upstream.status, _headers(upstream, content_type, parser.rewrites))
        try:
            begun = parser.feed(response.begun) if response.begun else b""
            if begun and not response.ended:
                await context.write(begun)
                begun = b""
            if not response.ended:
                await _pass_on(context, response, parser)
            rest = begun + parser.finish()
        except _CANNOT_GO_ON as error:
            await _break_off(context, parser, content_type)
            raise aiohttp.ClientPayloadError(f"{type(error).__name__}: {error}") from error
        if parser.whole:
            await context.start(upstream.status, [(b"content-type", b"application/json"), *_length(rest)])
        await context.write(rest, last=True)


async def _refuse(context: RequestContext, response: UpstreamResponse, content_type: str) -> None:
    """Pass on what an engine refuses, with the ids of the request where it is an error document."""
    async with response.http as upstream:
        if (whole := await response.begin(ERROR_BYTES)) is not None:
            said = _with_ids(whole)
            await context.start(upstream.status, [*_headers(upstream, content_type, True), *_length(said)])
            await context.write(said, last=True)
            return
        await context.start(upstream.status, _headers(upstream, content_type, False))
        await context.write(response.begun)
        await _pass_on(context, response, DocumentParser())
        await context.write(b"", last=True)


def _with_ids(raw: bytes) -> bytes:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return raw
    return written(errors.named(document)) if isinstance(document, dict) else raw


async def _pass_on(context: RequestContext, response: UpstreamResponse, parser: StreamParser) -> None:
    async for piece in response.rest():
        if out := parser.feed(piece):
            await context.write(out)


async def _break_off(context: RequestContext, parser: StreamParser, content_type: str) -> None:
    if not context.answered:
        raise errors.broken(context.model)
    # A half JSON document cannot be mended: the connection is cut, which every client notices.
    if content_type.startswith((EVENTS, _LINES)):
        await context.write(parser.broken(errors.broken(context.model)), last=True)


def _length(body: bytes) -> list[Header]:
    return [(b"content-length", b"%d" % len(body))]


def _headers(upstream: aiohttp.ClientResponse, content_type: str, rewritten: bool) -> list[Header]:
    headers = [(b"content-type", _as_header(content_type))]
    packed = upstream.headers.get("content-encoding")
    known = layers(upstream) if packed else ()
    lines = content_type.startswith(_LINES)
    if content_type.startswith(EVENTS):
        # Proxies in front must pass frames on at once.
        headers += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
    elif not rewritten and not lines and not known and (length := upstream.headers.get("content-length")):
        headers.append((b"content-length", _as_header(length)))
    if packed and not known:
        # In an encoding that is not undone here: perhaps the client knows it.
        headers.append((b"content-encoding", _as_header(packed)))
    if retry_after := upstream.headers.get("retry-after"):
        headers.append((b"retry-after", _as_header(retry_after)))
    return headers


def _as_header(value: str) -> bytes:
    # What an upstream says may have bytes that no header may have.
    clean = value if value.isprintable() else "".join(c for c in value if c.isprintable())
    return clean.encode("latin-1", "replace")


async def while_connected(context: RequestContext, work: Coroutine[None, None, None]) -> None:
    """Do `work`, but cancel it as soon as the client is gone: an engine must not write for nobody.

    Raises:
        ClientLeft: the work was cancelled.
    """
    # A request is always answered in a task.
    working = cast("asyncio.Task[None]", asyncio.current_task())
    left = False

    def stop() -> None:
        nonlocal left
        # Once the last byte is out, the work is as good as done.
        if not context.ended:
            left = True
            working.cancel()

    context.watch(stop)
    try:
        await work
    except asyncio.CancelledError:
        if not left:
            raise
        working.uncancel()
        raise ClientLeft from None
    finally:
        context.watch(None)
