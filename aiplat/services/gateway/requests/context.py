"""One HTTP request and its answer over raw ASGI; what is asked and answered belongs to the API modules."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from aiplat.services.bounds import BODY_SECONDS, SMALL_BYTES
from aiplat.services.connections import WATCH
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.http.bodies import Memory, Unpacked, written
from aiplat.services.gateway.http.deadline import Deadline
from aiplat.services.gateway.requests.admitted import Admitted
from aiplat.services.gateway.requests.auth import ApiKey
from aiplat.services.gateway.requests.trace import Trace
from aiplat.services.gateway.requests.usage import TokenUsage
from aiplat.services.gateway.routing.models import Model

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

_CLIENT_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_WRITTEN_AT_ONCE = 64 << 10
_NOTHING = TokenUsage()


def _plain(path: str) -> str:
    # Base addresses that end in a slash make doubled ones in clients that only join texts.
    if "//" not in path and (not path.endswith("/") or path == "/"):
        return path
    return re.sub("/{2,}", "/", path).rstrip("/") or "/"


class RequestContext:
    """A request being answered; knows what was sent so far.

    `asked_model` is the model that was asked for, `model` the one that answers; a fallback may have.
    """

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = _plain(scope["path"])
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._scope = scope
        self._receive = receive
        self._send = send
        self.started_at = time.perf_counter()
        self.first_byte_at: float | None = None
        self.status = 0
        self.ended = False
        self.usage = _NOTHING
        self.more_headers: list[Header] = []
        self.key: ApiKey | None = None
        self.model = ""
        self.asked_model = ""
        self.held = 0
        # To be settled when the answer is done; None until the request is admitted.
        self.admitted: Admitted | None = None
        # Where the site wants traces.
        self.trace: Trace | None = None
        # What usage is kept under. Never the client's own id: one that is used twice would count once.
        self.own_id = os.urandom(16).hex()
        given = self.headers.get(b"x-request-id", b"")
        self.client_id = given if given and _CLIENT_REQUEST_ID.fullmatch(given) else b""

    @property
    def id(self) -> bytes:
        """What client and engine know the request by: the client's own id, or else the gateway's."""
        return self.client_id or self.own_id.encode()

    def may_use(self, model: Model) -> bool:
        """Whether the request's key may use a model, under any of its names."""
        return self.key is not None and self.key.allows((model.name, *model.aliases))

    def watch(self, left: Callable[[], None] | None) -> None:
        """Have `left` called when the client is gone; None ends that."""
        self._scope["extensions"][WATCH]["watch"](left)

    @property
    def answered(self) -> bool:
        """Whether the status line has gone out."""
        return self.status != 0

    async def body(self, memory: Memory) -> bytes:
        """Return the whole body, unpacked; `release` gives back what is held when the answer is done.

        Raises:
            ApiError: it is too large, too slow, no valid content, or the client left.
        """
        declared = self.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > memory.each:
            raise errors.too_large(memory.each)
        taken = Unpacked(self.headers.get(b"content-encoding", b""), memory.each)
        try:
            with Deadline(BODY_SECONDS):
                return await self._read(memory, taken)
        except TimeoutError:
            raise errors.ApiError(408, "the request's body did not arrive in time") from None

    async def _read(self, memory: Memory, taken: Unpacked) -> bytes:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            if piece := message.get("body", b""):
                taken.take(piece)
                self.hold(memory, taken.size)
            if not message.get("more_body", False):
                return taken.whole()

    def hold(self, memory: Memory, size: int) -> None:
        """Hold `size` bytes in all; 0 gives everything back.

        Raises:
            ApiError: there is no room for so much.
        """
        if size > SMALL_BYTES or self.held > SMALL_BYTES:
            memory.hold(self.key.id if self.key else "", self.held, size)
        self.held = size

    def say_left_out(self, names: Iterable[str]) -> None:
        """Have the answer name what of the request was left out."""
        if said := ", ".join(names)[:1000]:
            clean = "".join(c if " " <= c <= "~" else "?" for c in said)
            self.more_headers.append((b"x-aiplat-left-out", clean.encode()))

    async def start(self, status: int, headers: Iterable[Header]) -> None:
        """Send the status line and headers, the request's ids and a fallback's name among them."""
        self.status = status
        own = self.own_id.encode()
        ids = ((b"x-request-id", self.client_id or own), (b"x-aiplat-request-id", own))
        sent = [*headers, *ids, *self.more_headers]
        if self.model != self.asked_model:
            sent.append((b"x-aiplat-model", self.model.encode("ascii", "backslashreplace")))
        await self._send({"type": "http.response.start", "status": status, "headers": sent})

    async def write(self, piece: bytes, last: bool = False) -> None:
        """Send a piece of the body; waits while the client reads slower than the model writes."""
        if self.first_byte_at is None:
            self.first_byte_at = time.perf_counter()
        # In pieces, so that what a slow reader has not taken yet is not copied whole into a buffer.
        while len(piece) > _WRITTEN_AT_ONCE:
            await self._send(
                {"type": "http.response.body", "body": piece[:_WRITTEN_AT_ONCE], "more_body": True}
            )
            piece = piece[_WRITTEN_AT_ONCE:]
        self.ended = last
        await self._send({"type": "http.response.body", "body": piece, "more_body": not last})

    async def reply(self, status: int, document: Any, headers: Iterable[Header] = ()) -> None:
        """Answer with a whole JSON document."""
        body = written(document)
        length = (b"content-length", str(len(body)).encode())
        await self.start(status, [(b"content-type", b"application/json"), length, *headers])
        await self.write(body, last=True)


class ClientLeft(Exception):
    """The client closed its connection before the answer was complete."""
