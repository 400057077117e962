"""Connections to engines and providers, and the beginnings of their answers; whom to ask is for failover."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.payload import BytesPayload
from yarl import URL

from aiplat.services.bounds import EARLY_ANSWERS, LISTED_BYTES, LOOK_SECONDS, SILENCE_SECONDS
from aiplat.services.gateway.http.bodies import too_many_values
from aiplat.services.gateway.http.encodings import Unpacker, WrongEncoding, encodings_of
from aiplat.services.gateway.routing.egress import Egress, GuardedResolver

# What a server can write a status line for.
_LAST_STATUS = 599
_LOOK = aiohttp.ClientTimeout(total=LOOK_SECONDS)


class _LimitedHandler(ResponseHandler):
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
        self._factory = partial(_LimitedHandler, loop=self._loop)  # type: ignore[assignment]


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
        # As aiohttp would make of the bytes itself, after asking every kind that it knows.
        data = BytesPayload(body)
        answer = await self.session.post(url, data=data, headers=headers, allow_redirects=False)
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
    named = layers(answer)
    return _without(named, answer) if named else answer.content.iter_any()


async def _without(named: tuple[str, ...], answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    unpacker = Unpacker(named)
    async for piece in answer.content.iter_any():
        for part in unpacker.feed(piece):
            yield part
    if not unpacker.ended:
        raise WrongEncoding("its end is missing")


def layers(upstream: aiohttp.ClientResponse) -> tuple[str, ...]:
    """Return the encodings to undo; none where there are none, or one that is not known."""
    packed = upstream.headers.get("content-encoding")
    if not packed:
        return ()
    try:
        return encodings_of(packed)
    except WrongEncoding:
        return ()
