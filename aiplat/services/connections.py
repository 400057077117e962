"""HTTP connections of the gateway and the control API: how many, how long, how much before a key is known."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from aiplat.services.bounds import (
    CONNECTIONS,
    HEAD_BYTES,
    HEAD_LINES,
    HEAD_SECONDS,
    KEEP_ALIVE_SECONDS,
    LINGER_SECONDS,
    PIPELINED,
    SPARE_FILES,
    WRITE_BYTES,
    WRITE_SECONDS,
)
from aiplat.services.request_id import new_request_id

log = logging.getLogger("aiplat.connections")

_SLICE = 8 << 10
_EVERY_SECONDS = 1.0
_FLUSH_SECONDS = 1.0
_LINE_OVERHEAD = 4
# What an upload may take beyond the time that the application itself gives it.
_BODY_SLACK = 10.0
# The extension of ASGI by which an application hears that its client is gone: it holds `Guarded.watch`.
# Waiting for "http.disconnect" tells the same, but takes a task of its own for each request.
WATCH = "aiplat.watch"


class Doors:
    """The open connections of a server: lets in as many as there is room for, ends those that stand still.

    `body_seconds` is how long a request's body may take to arrive.
    """

    def __init__(self, most: int | None = None, body_seconds: float = 60.0) -> None:
        self.most = min(CONNECTIONS, most or _by_files())
        self.body_seconds = body_seconds + _BODY_SLACK
        self.open: set[Guarded] = set()
        # In the order in which they fell silent: who never asked anything goes first.
        self.silent: dict[Guarded, None] = {}
        self.kept: dict[Guarded, None] = {}

    def enter(self, connection: Guarded) -> None:
        """Count a new connection; where there are too many, one that asks nothing makes room."""
        if len(self.open) >= self.most:
            leaving = next(iter(self.silent), None) or next(iter(self.kept), None) or connection
            leaving.cut()
            self.leave(leaving)
            if leaving is connection:
                return
        self.open.add(connection)
        self.silent[connection] = None

    def asks(self, connection: Guarded) -> None:
        """Hear that a connection's request has begun to be answered."""
        self.silent.pop(connection, None)
        self.kept.pop(connection, None)

    def waits(self, connection: Guarded) -> None:
        """Hear that a connection was answered and may ask again."""
        if connection in self.open:
            self.kept[connection] = None

    def leave(self, connection: Guarded) -> None:
        """Forget a connection that is closed."""
        self.open.discard(connection)
        self.asks(connection)

    def sweep(self, now: float) -> None:
        """End what has stood still for too long."""
        for connection in list(self.open):
            connection.look(now)

    async def run(self) -> None:
        """Sweep every second until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            self.sweep(loop.time())


def _by_files() -> int:
    # A request may need a file of its own towards its engine.
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(8, (soft - SPARE_FILES) // 2)


class Guarded(HttpToolsProtocol):
    """uvicorn's HTTP connection, with limits of size and time on everything before and around a request."""

    def __init__(self, doors: Doors, **given: Any) -> None:
        super().__init__(**given)
        self._doors = doors
        self._in_head = True
        self._head = 0
        self._unread = 0
        self._since: float | None = None
        self._lingers: float | None = None
        self._stuck: tuple[float, int] | None = None
        self._told = False
        self._left: Callable[[], None] | None = None
        self._lost = False
        self._extensions: dict[str, dict[object, object]] = {WATCH: {"watch": self.watch}}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take part in the count, and wait for a head from now on."""
        super().connection_made(transport)
        self._since = self.loop.time()
        self._doors.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the count."""
        self._doors.leave(self)
        super().connection_lost(exc)
        # What never begins need not be kept; what has begun hears of it by `disconnected`, or as it asked to.
        self.pipeline.clear()
        self._lost = True
        if self._left is not None:
            self._left()

    def watch(self, left: Callable[[], None] | None) -> None:
        """Have `left` called when the client closes its connection, at once where it has; None ends that.

        One for a connection, because it answers one request after the other.
        """
        self._left = left
        if left is None:
            return
        # Nobody hears of an end that is not read.
        self.flow.resume_reading()
        if self._lost:
            left()

    def cut(self) -> None:
        """End the connection without waiting for anybody."""
        if self.transport is not None:
            self.transport.abort()

    def look(self, now: float) -> None:
        """End the connection where it has stood still for too long."""
        if self._since is not None:
            limit = HEAD_SECONDS if self._in_head else self._doors.body_seconds
            if now - self._since > limit:
                self.cut()
        if self._lingers is None and self.transport.is_closing():
            self._lingers = now
        if self._lingers is not None and now - self._lingers > LINGER_SECONDS:
            self.cut()
        self._look_at_reader(now)

    def _look_at_reader(self, now: float) -> None:
        if not self.flow.write_paused:
            self._stuck = None
            return
        waiting = self.transport.get_write_buffer_size()
        if self._stuck is None or self._stuck[1] - waiting >= WRITE_BYTES:
            self._stuck = (now, waiting)
        elif now - self._stuck[0] > WRITE_SECONDS:
            self.cut()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        # In slices while nobody is known: the parser keeps a header that has no end to itself.
        while len(data) > _SLICE and (self._in_head or self.pipeline) and not self.transport.is_closing():
            self._take(data[:_SLICE])
            data = data[_SLICE:]
        self._take(data)

    def _take(self, data: bytes) -> None:
        if self.parser is None or self.transport.is_closing():
            return
        self._unread += len(data)
        if self._in_head and self._since is None:
            self._since = self.loop.time()
        self._feed(data)
        if self._unread > HEAD_BYTES + _SLICE and not self.transport.is_closing():
            self.refuse(431, "the request's headers are too large")

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as pause:
            self._read_on(data[pause.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("this is not HTTP/1.1")

    def _read_on(self, rest: bytes) -> None:
        """Read on as HTTP/1.1 where a client offers another protocol, as Java's does with every request.

        The parser leaves the rest, the body among it, to that protocol: another one is told how long it is.
        """
        if self.transport.is_closing():
            return
        framing = [h for h in self.headers if h[0] in (b"content-length", b"transfer-encoding")]
        head = b"".join(b"%b: %b\r\n" % header for header in framing)
        self.parser, self._told = httptools.HttpRequestParser(self), True
        self._feed(b"POST / HTTP/1.1\r\n" + head + b"\r\n" + rest)

    def on_message_begin(self) -> None:
        """Count a new head."""
        if self._told:
            return
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        self._head = 0

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        if self._told:
            return
        self._head += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header while there is room for it."""
        if self._told or not self._in_head:
            # Trailers mean nothing here, and there may be any number of them.
            return
        self._head += len(name) + len(value) + _LINE_OVERHEAD
        if self._head <= HEAD_BYTES and len(self.headers) < HEAD_LINES:
            # As `super` does, which is looked up again for each header.
            HttpToolsProtocol.on_header(self, name, value)
        else:
            self._head = HEAD_BYTES + 1

    def on_headers_complete(self) -> None:
        """Let a request begin whose head is within the limits."""
        if self._told:
            self._told = False
            return
        if self.transport.is_closing():
            return
        if self._head > HEAD_BYTES:
            self.refuse(431, "the request's headers are too large")
            return
        if len(self.pipeline) >= PIPELINED:
            self.cut()
            return
        self._in_head, self._unread = False, 0
        self._since = self.loop.time()
        self._doors.asks(self)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        if self.cycle is None or self.transport.is_closing():
            return
        if not self.pipeline:
            self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for the next head."""
        if self.cycle is None or self.transport.is_closing() or self.parser.should_upgrade():
            return
        if not self.pipeline:
            self._unread = 0
        self._in_head, self._since, self._lingers = True, None, None
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._doors.waits(self)

    def on_response_complete(self) -> None:
        """Wait for what the client still sends, or for its next request."""
        super().on_response_complete()
        if self._in_head:
            self._doors.waits(self)
        else:
            # The client still sends: what it sends is read for a while, so that it comes to read the answer.
            self._lingers = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """Say in the shape of the APIs what cannot be read as HTTP."""
        self.refuse(400, msg)

    def refuse(self, status: int, message: str) -> None:
        """Answer a request that did not get as far as the application, and close."""
        if self.transport.is_closing():
            return
        request = new_request_id()
        log.info("refused before it was a request: %d %s request=%s", status, message, request)
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        body = json.dumps({"error": {**error, "request_id": request}}).encode()
        head = (
            b"content-type: application/json\r\nconnection: close\r\nx-request-id: %b\r\n" % request.encode()
        )
        length = b"content-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + length + body)
        self.transport.close()


class Server(uvicorn.Server):
    """uvicorn, except that a signal only asks it to stop: what else is open is then closed in order."""

    def __init__(self, config: uvicorn.Config, doors: Doors) -> None:
        super().__init__(config)
        self.doors = doors

    def _connection(self) -> Guarded:
        return Guarded(self.doors, config=self.config, server_state=self.server_state, app_state={})

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Have signals ask for the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Listen; as uvicorn does, and with a limit on TLS handshakes."""
        config, made = self.config, self._connection
        seconds = HEAD_SECONDS if config.ssl else None
        listening = await asyncio.get_running_loop().create_server(
            made,
            config.host,
            config.port,
            backlog=config.backlog,
            ssl=config.ssl,
            ssl_handshake_timeout=seconds,
        )
        self.servers = [listening]
        self.started = True

    async def main_loop(self) -> None:
        """Serve, and end what stands still."""
        sweeping = asyncio.create_task(self.doors.run())
        try:
            await super().main_loop()
        finally:
            sweeping.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End in order, and soon."""
        ending = asyncio.create_task(self._end_when_answered())
        await super().shutdown(sockets)
        ending.cancel()

    async def _end_when_answered(self) -> None:
        # A client that keeps its connection open without reading would otherwise hold the port for as
        # long as the longest answer may take.
        while self.server_state.tasks:
            await asyncio.sleep(0.05)
        await asyncio.sleep(_FLUSH_SECONDS)
        self.force_exit = True


def server(
    app: Any,
    listen: tuple[str, int],
    certificate: tuple[Path | None, Path | None] = (None, None),
    *,
    grace: int,
    doors: Doors,
) -> Server:
    """Return a server of an ASGI application; `grace` is what answers under way get when it is to stop.

    Raises:
        OSError: the certificate cannot be read.
    """
    config = uvicorn.Config(
        app,
        host=listen[0],
        port=listen[1],
        http=Guarded,
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=grace,
        ssl_certfile=certificate[0],
        ssl_keyfile=certificate[1],
    )
    config.load()
    return Server(config, doors)
