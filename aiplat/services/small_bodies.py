"""A limit of size on what is sent to a service of ours; what is sent is the service's."""

from __future__ import annotations

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Longer numbers are not lengths; servers refuse them before.
_DIGITS = 20


class SmallBodies:
    """Refuses a request whose body is longer than `most` bytes, said or not, without keeping it."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        got = 0

        async def counted() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if max(got, _said(scope)) > self._most:
                raise HTTPException(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"may have {self._most} bytes at most"
                )
            return message

        await self._app(scope, counted if scope["type"] == "http" else receive, send)


def _said(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < _DIGITS else 0
