"""A limit on what requests send, before it is kept: on the way to a WSGI program it would lie on the disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

_SMALL = 64 << 10
"""So much of each request stays in memory, and is outside of the count: a form is always taken."""


@dataclass
class Room:
    """What the requests of all ports may have on the disk together, in bytes; half of the pod's /tmp."""

    most: int = 8 << 20
    held: int = 0


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus) -> None:
        self.status = status


class BoundedBodies:
    """Answers 413 to a body of more than `most` bytes, and 503 where the room is full, without keeping it."""

    def __init__(self, application: Application, most: int, room: Room) -> None:
        self._application, self._most, self._room = application, most, room

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        size = held = 0

        async def counted() -> Message:
            nonlocal size, held
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._most:
                raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            more = max(0, size - _SMALL) - held
            if self._room.held + more > self._room.most:
                raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE)
            self._room.held, held = self._room.held + more, held + more
            return message

        try:
            await self._application(scope, counted if scope["type"] == "http" else receive, send)
        except _RefusedError as refused:
            # The body is read before the program is asked, so nothing is answered yet.
            await _answer(send, refused.status)
        finally:
            self._room.held -= held


async def _answer(send: Send, status: HTTPStatus) -> None:
    text = f"{status.phrase}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": text})
