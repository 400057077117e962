"""Sends a request to one upstream and its answer back, piece by piece; whom to ask is for attempts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from aiplat.services.bounds import EARLY_ANSWERS, LISTED_BYTES, LOOK_SECONDS, SILENCE_SECONDS
from aiplat.services.gateway import refusals
from aiplat.services.gateway.bodies import too_many_values
from aiplat.services.gateway.egress import Egress, GuardedResolver
from aiplat.services.gateway.encodings import Unpacker, WrongEncoding, encodings_of
from aiplat.services.gateway.exchange import ClientLeft, Exchange, Header
from aiplat.services.gateway.readers import DocumentReader, Reader

if TYPE_CHECKING:
    from aiplat.services.gateway.attempts import Answer

_EVENTS = "text/event-stream"
# What a server can write a status line for.
_LAST_STATUS = 599
_LOOK = aiohttp.ClientTimeout(total=LOOK_SECONDS)
# The upstream is gone, or what it wrote is not what its API says and cannot be turned into another's.
_CANNOT_GO_ON = (
    *(aiohttp.ClientError, TimeoutError),
    *(ValueError, KeyError, IndexError, TypeError, AttributeError),
)


class _Patient(ResponseHandler):
    """aiohttp's side of a connection to an upstream, which takes only so many answers before the one."""

    _early = 0

    async def read(self) -> Any:
        """Return the next answer.

        Raises:
            aiohttp.ClientError: there are too many that say that another will come.
        """
        found = await super().read()
        self._early = self._early + 1 if 100 <= found[0].code < 200 else 0
        if self._early > EARLY_ANSWERS:
            raise aiohttp.ClientPayloadError(f"more than {EARLY_ANSWERS} answers of the kind 1xx")
        return found


class _Connector(aiohttp.TCPConnector):
    """aiohttp's connections, with limits on what comes before an answer."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._factory = partial(_Patient, loop=self._loop)  # type: ignore[assignment]


class Upstreams:
    """Connections to engines and providers; opened with `async with`, one for the life of the process."""

    def __init__(self, egress: Egress | None = None) -> None:
        self.egress = egress or Egress()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Upstreams:
        connector = _Connector(
            limit=0,
            keepalive_timeout=15,
            resolver=GuardedResolver(self.egress),
            ttl_dns_cache=10,
            socket_factory=self.egress.socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE_SECONDS),
            # Bytes pass as they are: nothing may be unpacked, remembered or followed on the way.
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": "aiplat-gateway", "accept-encoding": "identity"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open session."""
        if self._session is None:
            raise RuntimeError("Upstreams is used outside of `async with`")
        return self._session

    async def post(self, url: URL, body: bytes, headers: dict[str, str]) -> aiohttp.ClientResponse:
        """Post `body` once and return the answer when its headers are here; redirects are not followed.

        Raises:
            aiohttp.ClientError, TimeoutError: nobody answered.
        """
        answer = await self.session.post(url, data=body, headers=headers, allow_redirects=False)
        if not 200 <= answer.status < 300 and not 400 <= answer.status <= _LAST_STATUS:
            # A redirect is none either: it is not followed, and its text is in no form of an API.
            answer.close()
            raise aiohttp.ClientPayloadError(f"{answer.status} is not a status of an answer")
        return answer

    async def look(self, url: URL) -> dict[str, Any]:
        """Return the JSON object at `url`, an empty one where there is none; redirects are not followed.

        Raises:
            aiohttp.ClientError, TimeoutError: nobody answered.
            ValueError: the answer is not JSON, or too long.
        """
        async with self.session.get(url, timeout=_LOOK, allow_redirects=False) as answer:
            if answer.status != 200:
                return {}
            raw = await read_some(answer, LISTED_BYTES + 1)
        if len(raw) > LISTED_BYTES or too_many_values(raw):
            raise ValueError("the answer is too long")
        try:
            document = json.loads(raw)
        except RecursionError:
            return {}
        return document if isinstance(document, dict) else {}


async def read_some(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the beginning of an answer, unpacked: at most about `most` bytes, all of it where it has less.

    Raises:
        aiohttp.ClientError, TimeoutError, ValueError: it broke off, or is not in the encoding it names.
    """
    pieces, size = [], 0
    async for piece in unpacked(answer):
        pieces.append(piece)
        size += len(piece)
        if size >= most:
            break
    return b"".join(pieces)[:most]


def unpacked(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Return an answer's pieces as they come, without its content encoding; what reads them gets its faults.

    Raises:
        aiohttp.ClientError, TimeoutError, ValueError: as for `read_some`.
    """
    named = _layers(answer)
    return _without(named, answer) if named else answer.content.iter_any()


async def _without(named: tuple[str, ...], answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    unpacker = Unpacker(named)
    async for piece in answer.content.iter_any():
        for part in unpacker.feed(piece):
            yield part
    if not unpacker.ended:
        raise WrongEncoding("its end is missing")


async def relay(exchange: Exchange, answer: Answer, reader: Reader) -> None:
    """Stream an upstream's answer to the client as it comes.

    Raises:
        Refusal: the answer, of which nothing was sent, turned out to be none.
        aiohttp.ClientError: the upstream broke off in the middle; the client has then been told as far as
            its format allows.
    """
    upstream = answer.response
    content_type = upstream.headers.get("content-type", "application/json")
    if upstream.status >= 400:
        # What an engine refuses passes as it is.
        reader = DocumentReader()
    if reader.events:
        # Nothing else could be told to the client as the events that it waits for.
        if not sends_events(upstream):
            raise refusals.broken(exchange.model)
        content_type = _EVENTS
    async with upstream:
        if not reader.whole:
            await exchange.start(upstream.status, _headers(upstream, content_type, reader.rewrites))
        try:
            begun = reader.feed(answer.begun) if answer.begun else b""
            if begun and not answer.ended:
                await exchange.write(begun)
                begun = b""
            async for piece in answer.rest():
                if out := reader.feed(piece):
                    await exchange.write(out)
            rest = begun + reader.finish()
        except _CANNOT_GO_ON as error:
            await _break_off(exchange, reader, content_type)
            raise aiohttp.ClientPayloadError(f"{type(error).__name__}: {error}") from error
        if reader.whole:
            await exchange.start(upstream.status, [(b"content-type", b"application/json"), *_length(rest)])
        await exchange.write(rest, last=True)


def sends_events(upstream: aiohttp.ClientResponse) -> bool:
    """Whether an answer is an event stream, or does not say what it is."""
    return upstream.headers.get("content-type", _EVENTS).startswith(_EVENTS)


async def _break_off(exchange: Exchange, reader: Reader, content_type: str) -> None:
    if not exchange.answered:
        raise refusals.broken(exchange.model)
    # A half JSON document cannot be mended: the connection is cut, which every client notices.
    if content_type.startswith((_EVENTS, "application/x-ndjson")):
        await exchange.write(reader.broken(refusals.broken(exchange.model)), last=True)


def _length(body: bytes) -> list[Header]:
    return [(b"content-length", b"%d" % len(body))]


def _headers(upstream: aiohttp.ClientResponse, content_type: str, rewritten: bool) -> list[Header]:
    headers = [(b"content-type", _as_header(content_type))]
    packed = upstream.headers.get("content-encoding")
    known = _layers(upstream) if packed else ()
    if content_type.startswith(_EVENTS):
        # Proxies in front must pass frames on at once.
        headers += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
    elif not rewritten and not known and (length := upstream.headers.get("content-length")):
        headers.append((b"content-length", _as_header(length)))
    if packed and not known:
        # In an encoding that is not undone here: perhaps the client knows it.
        headers.append((b"content-encoding", _as_header(packed)))
    if retry_after := upstream.headers.get("retry-after"):
        headers.append((b"retry-after", _as_header(retry_after)))
    return headers


def _layers(upstream: aiohttp.ClientResponse) -> tuple[str, ...]:
    """Return the encodings to undo; none where there are none, or one that is not known."""
    packed = upstream.headers.get("content-encoding")
    if not packed:
        return ()
    try:
        return encodings_of(packed)
    except WrongEncoding:
        return ()


def _as_header(value: str) -> bytes:
    # What an upstream says may have bytes that no header may have.
    clean = value if value.isprintable() else "".join(c for c in value if c.isprintable())
    return clean.encode("latin-1", "replace")


async def while_connected(exchange: Exchange, work: Coroutine[None, None, None]) -> None:
    """Do `work`, but cancel it as soon as the client is gone: an engine must not write for nobody.

    Raises:
        ClientLeft: the work was cancelled.
    """
    # A request is always answered in a task.
    working = cast("asyncio.Task[None]", asyncio.current_task())
    left = False

    def stop(_: asyncio.Future[None]) -> None:
        nonlocal left
        # The server also says "disconnected" once the last byte is out: then the work is as good as done.
        if not exchange.ended:
            left = True
            working.cancel()

    leaving = asyncio.ensure_future(_disconnected(exchange.receive))
    leaving.add_done_callback(stop)
    try:
        await work
    except asyncio.CancelledError:
        if not left:
            raise
        working.uncancel()
        raise ClientLeft from None
    finally:
        leaving.remove_done_callback(stop)
        leaving.cancel()


async def _disconnected(receive: Callable[[], Awaitable[object]]) -> None:
    while True:
        message = await receive()
        if isinstance(message, dict) and message.get("type") == "http.disconnect":
            return
