"""What is around every request and answer of a service: its id, security headers; not what is in them."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aiplat.services.request_id import REQUEST, new_request_id

_YEAR = 31_536_000


class Envelope:
    """Wraps a whole application, so that errors of its outermost parts have the headers too.

    `secure` says that people come over TLS, also where it ends before this process.
    """

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], *, secure: bool = False) -> None:
        self._app, self._headers, self._secure = app, headers, secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = new_request_id()
        REQUEST.set(request)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers["X-Request-Id"] = request
                if self._secure or scope.get("scheme") == "https":
                    headers["Strict-Transport-Security"] = f"max-age={_YEAR}"
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
