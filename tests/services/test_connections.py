"""Connections before and around a request: each limit is filled, and those within it get through."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from aiplat.services import bounds, connections
from aiplat.services.connections import Doors, Guarded, Server
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nhost: x\r\n"
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def hello(scope: object, receive: Callable[[], Awaitable[dict[str, object]]], send: object) -> None:
    """Answer every request, with as much as its path says."""
    assert isinstance(scope, dict)
    assert callable(send)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(int(scope["path"][1:] or 0)):
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        if (await asyncio.wait({asyncio.ensure_future(receive())}, timeout=0))[0] and scope["path"] == "/0":
            return
    await send({"type": "http.response.body", "body": b"hello", "more_body": False})


class Place:
    """A server on loopback; `connect` opens a connection to it, `pass_time` lets its clock go on."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = server.servers[0].sockets[0].getsockname()[1]
        self.ahead = 0.0

    async def connect(self) -> Pair:
        """Return a connection that the server has taken."""
        before = len(self.server.doors.open)
        pair = await asyncio.open_connection("127.0.0.1", self.port)
        for _ in range(200):
            if len(self.server.doors.open) > before:
                break
            await asyncio.sleep(0.01)
        return pair

    def pass_time(self, seconds: float) -> None:
        """Have the server look at its connections as it would `seconds` from now."""
        self.ahead += seconds
        self.server.doors.sweep(asyncio.get_running_loop().time() + self.ahead)


@contextlib.asynccontextmanager
async def place(most: int | None = None, app: object = hello) -> AsyncIterator[Place]:
    """Serve until the block ends."""
    config = uvicorn.Config(app, port=0, http=Guarded, lifespan="off", log_config=None, access_log=False)
    config.load()
    server = Server(config, Doors(most))
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield Place(server)
    finally:
        for connection in list(server.doors.open):
            connection.cut()
        server.servers[0].close()


async def end_of(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the server closes the connection."""
    try:
        return await asyncio.wait_for(reader.read(), PATIENCE)
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    "head",
    [
        GET + b"a: b\r\n" * (bounds.HEAD_LINES + 1),
        GET + b"a: " + b"b" * (bounds.HEAD_BYTES + 1) + b"\r\n",
        b"GET /" + b"x" * (bounds.HEAD_BYTES + 1) + b" HTTP/1.1\r\n",
        GET + b"n" * (2 * bounds.HEAD_BYTES),
    ],
    ids=["lines", "value", "address", "name"],
)
async def test_a_head_beyond_its_limit_is_refused_before_it_ends(head: bytes) -> None:
    """In lines, in one value, in the address or in a name; what was sent is not kept."""
    async with place() as here:
        reader, writer = await here.connect()
        writer.write(head)
        [connection] = here.server.doors.open
        writer.write(b"\r\n" if head.endswith(b"\r\n") else b"")
        said = await end_of(reader)
        assert said == b"" or said.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))
        assert sum(len(n) + len(v) for n, v in connection.headers or ()) <= bounds.HEAD_BYTES


async def test_a_head_within_its_limit_is_answered() -> None:
    """Also one that comes in pieces, and the next one on the same connection."""
    async with place() as here:
        reader, writer = await here.connect()
        for _ in range(2):
            writer.write(GET + b"a: " + b"b" * (bounds.HEAD_BYTES // 2))
            await writer.drain()
            writer.write(b"\r\nc: d\r\n\r\n")
            assert (await reader.readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_trailers_without_an_end_are_not_kept() -> None:
    """They mean nothing here, and the connection ends."""
    async with place() as here:
        reader, writer = await here.connect()
        writer.write(GET + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
        await asyncio.sleep(0)
        [connection] = here.server.doors.open
        with contextlib.suppress(ConnectionError):
            for _ in range(400):
                writer.write(b"t: x\r\n" * 1000)
                await writer.drain()
                await asyncio.sleep(0)
        await end_of(reader)
        assert connection not in here.server.doors.open
        assert len(connection.headers) <= 3


async def test_requests_sent_ahead_are_limited() -> None:
    """A connection may not have any number of them wait, each with memory of its own."""
    async with place() as here:
        reader, writer = await here.connect()
        writer.write(b"GET /100000 HTTP/1.1\r\nhost: x\r\n\r\n" + (GET + b"\r\n") * 1000)
        [connection] = here.server.doors.open
        await end_of(reader)
        assert len(connection.pipeline) <= bounds.PIPELINED


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET + b"a: "])
async def test_a_connection_that_asks_nothing_ends(sent: bytes) -> None:
    """Whether it said nothing or half a head; until then it may go on."""
    async with place() as here:
        reader, writer = await here.connect()
        writer.write(sent)
        here.pass_time(bounds.HEAD_SECONDS - 5)
        assert len(here.server.doors.open) == 1
        here.pass_time(10)
        assert await end_of(reader) == b""


async def test_a_body_without_an_end_ends_with_its_connection() -> None:
    """Also behind an answer that was given already."""
    async with place() as here:
        reader, writer = await here.connect()
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nx")
        assert (await reader.readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 200")
        here.pass_time(bounds.LINGER_SECONDS - 5)
        assert len(here.server.doors.open) == 1
        here.pass_time(10)
        assert await end_of(reader) == b""


async def test_a_reader_that_stops_is_given_up_and_a_slow_one_is_not() -> None:
    """A slow reader takes a little of what waits for it within each minute."""
    async with place() as here:
        _, writer = await here.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /10000 HTTP/1.1\r\nhost: x\r\n\r\n")
        [connection] = here.server.doors.open
        while not connection.flow.write_paused:
            await asyncio.sleep(0.01)
        here.pass_time(0)
        here.pass_time(bounds.WRITE_SECONDS - 5)
        assert here.server.doors.open == {connection}
        # Somebody who takes less than so much in that time does not read.
        waiting = connection.transport.get_write_buffer_size()
        assert connection._stuck is not None
        connection._stuck = (connection._stuck[0], waiting + bounds.WRITE_BYTES - 1)
        here.pass_time(10)
        await asyncio.sleep(0.05)
        assert not here.server.doors.open


async def test_beyond_the_most_connections_the_longest_silent_makes_room() -> None:
    """Who asks something is let in and answered, however many ask nothing."""
    async with place(most=3) as here:
        silent = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(10)]
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(GET + b"\r\n")
        assert (await reader.readuntil(b"0\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert len(here.server.doors.open) <= 3
        assert await end_of(silent[0][0]) == b""


async def echo(scope: object, receive: Callable[[], Awaitable[dict[str, object]]], send: object) -> None:
    """Answer with the body."""
    assert callable(send)
    body, more = b"", True
    while more:
        message = await receive()
        piece = message["body"]
        assert isinstance(piece, bytes)
        body, more = body + piece, bool(message["more_body"])
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


OFFER = GET.replace(b"GET", b"POST") + (
    b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n"
)
CHUNKED = b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


@pytest.mark.parametrize("sent", [OFFER + b"content-length: 5\r\n\r\nabcde", OFFER + CHUNKED])
@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_who_offers_another_protocol_is_answered_in_this_one(sent: bytes, size: int) -> None:
    """As Java's client does with every request: its body is read, and so is what it asks next."""
    async with place(app=echo) as here:
        reader, writer = await here.connect()
        for again in (sent, sent, OFFER + b"\r\n", sent.replace(b"host: x", b"connection: close")):
            for at in range(0, len(again), size):
                writer.write(again[at : at + size])
                await asyncio.sleep(0)
        answers = await asyncio.wait_for(reader.read(), PATIENCE)
        assert answers.count(b"HTTP/1.1 200") == 4
        assert answers.count(b"abcde") == 3


async def test_what_is_no_http_is_refused_in_the_apis_shape() -> None:
    """So that a client's library can show it."""
    async with place() as here:
        reader, writer = await here.connect()
        writer.write(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert b'{"error": {"message": ' in await end_of(reader)


def test_the_limit_of_open_files_leaves_some_for_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client's connection may need one towards its engine."""
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (256, 256))
    assert Doors().most == (256 - bounds.SPARE_FILES) // 2
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (20_000, 20_000))
    assert Doors().most == bounds.CONNECTIONS


@pytest.mark.parametrize("late", [False, True], ids=["while it watches", "before it watches"])
async def test_an_application_hears_that_its_client_is_gone(late: bool) -> None:
    """At once where it asks too late, and not where it no longer watches."""
    began, told, missed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[object]], send: object) -> None:
        watch = scope["extensions"][connections.WATCH]["watch"]
        watch(missed.set)
        watch(None)
        began.set()
        if late:
            while await receive() != {"type": "http.disconnect"}:
                pass
        watch(told.set)
        await told.wait()
        watch(None)

    async with place(app=app) as here:
        _, writer = await here.connect()
        writer.write(GET + b"\r\n")
        await asyncio.wait_for(began.wait(), PATIENCE)
        writer.close()
        await asyncio.wait_for(told.wait(), PATIENCE)
        assert not missed.is_set()
