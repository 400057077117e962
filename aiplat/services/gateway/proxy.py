"""Sends a request to one upstream and its answer back, piece by piece; whom to ask is for attempts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import cast

import aiohttp
from yarl import URL

from aiplat.services.gateway import refusals
from aiplat.services.gateway.egress import Egress, GuardedResolver
from aiplat.services.gateway.exchange import ClientLeft, Exchange, Header
from aiplat.services.gateway.readers import Reader, TailReader

# A model that is being loaded or a long prompt may take minutes before the first byte.
_SILENCE_SECONDS = 900
# The upstream is gone, or what it wrote is not what its API says and cannot be turned into another's.
_CANNOT_GO_ON = (
    *(aiohttp.ClientError, TimeoutError),
    *(ValueError, KeyError, IndexError, TypeError, AttributeError),
)


class Upstreams:
    """Connections to engines and providers; opened with `async with`, one for the life of the process."""

    def __init__(self, egress: Egress | None = None) -> None:
        self.egress = egress or Egress()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Upstreams:
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=15, resolver=GuardedResolver(self.egress), ttl_dns_cache=10
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_SILENCE_SECONDS),
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
        """Post `body` once and return the answer when its headers are here.

        Raises:
            aiohttp.ClientError, TimeoutError: nobody answered.
        """
        return await self.session.post(url, data=body, headers=headers, allow_redirects=False)


async def relay(exchange: Exchange, upstream: aiohttp.ClientResponse, reader: Reader) -> None:
    """Stream an upstream's answer to the client as it comes.

    Raises:
        aiohttp.ClientError: the upstream broke off in the middle; the client has then been told as far as
            its format allows.
    """
    content_type = upstream.headers.get("content-type", "application/json")
    if upstream.status >= 400:
        # What an engine refuses passes as it is.
        reader = TailReader()
    async with upstream:
        await exchange.start(upstream.status, _headers(upstream, content_type, reader.rewrites))
        try:
            async for piece in upstream.content.iter_any():
                if out := reader.feed(piece):
                    await exchange.write(out)
            rest = reader.finish()
        except _CANNOT_GO_ON as error:
            # A half JSON document cannot be mended: the connection is cut, which every client notices.
            if content_type.startswith(("text/event-stream", "application/x-ndjson")):
                await exchange.write(reader.broken(refusals.broken(exchange.model)), last=True)
            raise aiohttp.ClientPayloadError(f"{type(error).__name__}: {error}") from error
        await exchange.write(rest, last=True)


def _headers(upstream: aiohttp.ClientResponse, content_type: str, rewritten: bool) -> list[Header]:
    headers = [(b"content-type", content_type.encode())]
    if content_type.startswith("text/event-stream"):
        # Proxies in front must pass frames on at once.
        headers += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
    elif not rewritten and (length := upstream.headers.get("content-length")):
        headers.append((b"content-length", length.encode()))
    if retry_after := upstream.headers.get("retry-after"):
        headers.append((b"retry-after", retry_after.encode()))
    return headers


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
