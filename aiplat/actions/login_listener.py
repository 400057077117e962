"""Waits on loopback for the browser that comes back from the issuer; what its answer is worth is login's."""

from __future__ import annotations

import secrets
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiplat.errors import AiplatError, Finding

PORTS = (8400, 8401, 8402)
"""The ports that the issuer knows; another one it would refuse."""
_TICK = 0.5
_READ_SECONDS = 5


class Listener:
    """Listens on the first of the ports that is free, for the answer to one question."""

    def __init__(self, state: str) -> None:
        self._server = _server()
        self._server.state = state
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.server_close()

    def answer(self, seconds: float) -> dict[str, str]:
        """Return what the browser brings; whoever does not know the question is told so, and waited on.

        Raises:
            AiplatError: nobody came in time.
        """
        until = time.monotonic() + seconds
        while not self._server.answers and time.monotonic() < until:
            self._server.handle_request()
        if not self._server.answers:
            raise AiplatError(
                Finding("login", f"nobody signed in within {seconds:g} seconds", "run it again")
            )
        return self._server.answers[0]


class _Server(HTTPServer):
    timeout = _TICK

    def __init__(self, port: int) -> None:
        self.state, self.answers = "", list[dict[str, str]]()
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Go on waiting: somebody hung up."""


def _server() -> _Server:
    for port in PORTS:
        try:
            return _Server(port)
        except OSError:
            continue
    taken = f"{PORTS[0]} to {PORTS[-1]} of 127.0.0.1"
    raise AiplatError(Finding("login", f"the ports {taken} are taken", "end another login that waits there"))


class _Handler(BaseHTTPRequestHandler):
    timeout = _READ_SECONDS
    server: _Server

    def do_GET(self) -> None:
        """Take the answer, if it is one to our question."""
        asked = urlsplit(self.path)
        told = {name: values[-1] for name, values in parse_qs(asked.query).items()}
        known = secrets.compare_digest(told.get("state", "").encode(), self.server.state.encode())
        if asked.path != "/" or not known:
            self._say(400, "This is not the answer that aiplat login waits for.")
            return
        self.server.answers.append(told)
        self._say(200, "aiplat login continues in the terminal. You may close this page.")

    def _say(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the address has the code in it."""
