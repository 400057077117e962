"""One HTTP request and its answer over raw ASGI; what is asked and answered belongs to the API modules."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from random import getrandbits
from typing import Any

from aiplat.services.gateway import refusals
from aiplat.services.gateway.auth import Key
from aiplat.services.gateway.models import Model
from aiplat.services.gateway.usage import Usage

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

BODY_SECONDS = 60.0
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class BodyBudget:
    """How many bytes one request, and all requests together, may hold in memory."""

    def __init__(self, each: int, together: int) -> None:
        self.each = each
        self.together = together
        self.held = 0

    def take(self, size: int, held_by_request: int) -> None:
        """Count `size` more bytes for a request that already holds some.

        Raises:
            Refusal: 413 when the request is over its limit, 503 when all requests together are.
        """
        if held_by_request + size > self.each:
            raise refusals.too_large(self.each)
        if self.held + size > self.together:
            raise refusals.busy()
        self.held += size

    def give_back(self, size: int) -> None:
        """Count bytes as freed."""
        self.held -= size


class Exchange:
    """A request being answered; knows what was sent so far.

    `asked_model` is the model that was asked for, `model` the one that answers; a fallback may have.
    """

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.receive = receive
        self._send = send
        self.started_at = time.perf_counter()
        self.first_byte_at: float | None = None
        self.status = 0
        self.ended = False
        self.usage = Usage()
        self.key: Key | None = None
        self.model = ""
        self.asked_model = ""
        self.held = 0
        # What the gate keeps of the request between admitting and settling it.
        self.account: object | None = None
        self.id = self._request_id()

    def _request_id(self) -> bytes:
        given = self.headers.get(b"x-request-id", b"")
        # No secret, only different from others: what the kernel would be asked for costs more than the rest.
        return given if given and _REQUEST_ID.fullmatch(given) else b"%032x" % getrandbits(128)

    def may_use(self, model: Model) -> bool:
        """Whether the request's key may use a model, under any of its names."""
        return self.key is not None and self.key.allows((model.name, *model.aliases))

    @property
    def answered(self) -> bool:
        """Whether the status line has gone out."""
        return self.status != 0

    async def body(self, budget: BodyBudget) -> bytes:
        """Return the whole body; the caller gives `held` back to the budget when the answer is done.

        Raises:
            Refusal: it is too large, too slow, or the client left.
        """
        declared = self.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > budget.each:
            raise refusals.too_large(budget.each)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._read(budget)
        except TimeoutError:
            raise refusals.Refusal(408, "the request's body did not arrive in time") from None

    async def _read(self, budget: BodyBudget) -> bytes:
        pieces: list[bytes] = []
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            piece = message.get("body", b"")
            budget.take(len(piece), self.held)
            self.held += len(piece)
            pieces.append(piece)
            if not message.get("more_body", False):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def start(self, status: int, headers: Iterable[Header]) -> None:
        """Send the status line and headers, the request's id and a fallback's name among them."""
        self.status = status
        sent = [*headers, (b"x-request-id", self.id)]
        if self.model != self.asked_model:
            sent.append((b"x-aiplat-model", self.model.encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": sent})

    async def write(self, piece: bytes, last: bool = False) -> None:
        """Send a piece of the body; waits while the client reads slower than the model writes."""
        if self.first_byte_at is None:
            self.first_byte_at = time.perf_counter()
        self.ended = last
        await self._send({"type": "http.response.body", "body": piece, "more_body": not last})

    async def reply(self, status: int, document: Any, headers: Iterable[Header] = ()) -> None:
        """Answer with a whole JSON document."""
        body = json.dumps(document, ensure_ascii=False).encode()
        length = (b"content-length", str(len(body)).encode())
        await self.start(status, [(b"content-type", b"application/json"), length, *headers])
        await self.write(body, last=True)


class ClientLeft(Exception):
    """The client closed its connection before the answer was complete."""
