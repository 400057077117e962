"""What strangers send to the sign-in is not put on its disk beyond limits."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.services.signin.bodies import BoundedBodies, Room

pytestmark = pytest.mark.anyio
SMALL = 64 << 10


class Reader:
    """An application that reads the whole body, as the way to WSGI does, and counts what it was given."""

    def __init__(self) -> None:
        self.got = 0

    async def __call__(self, _: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        while True:
            message = await receive()
            self.got += len(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def status_of(application: Any, *pieces: bytes) -> int:
    """Send a request in pieces and return the status of the answer."""
    left, sent = list(pieces), []

    async def receive() -> dict[str, Any]:
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application({"type": "http"}, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return int(sent[0]["status"])


async def test_a_body_that_is_too_long_is_refused_before_it_is_kept() -> None:
    """Nobody has to say how long it will be."""
    reader = Reader()
    bounded = BoundedBodies(reader, 1000, Room())
    assert await status_of(bounded, b"x" * 600, b"x" * 400) == 200
    reader.got = 0
    assert await status_of(bounded, b"x" * 600, b"x" * 401, *[b"x" * 600] * 100) == 413
    assert reader.got == 600


async def test_all_together_have_so_much_room_and_small_ones_always_have() -> None:
    """Who signs in is not kept out by others' uploads; what ended leaves its room."""
    room = Room(most=1000)
    bounded = BoundedBodies(Reader(), 10 * SMALL, room)
    assert await status_of(bounded, b"x" * SMALL, b"x" * 1000) == 200
    assert room.held == 0
    room.held = 1
    assert await status_of(bounded, b"x" * SMALL, b"x" * 1000) == 503
    assert room.held == 1
    room.held = room.most
    assert await status_of(bounded, b"x" * SMALL) == 200


async def test_what_is_no_request_passes() -> None:
    """Servers ask for the beginning and the end of a program the same way."""

    async def none(scope: dict[str, Any], receive: Any, send: Any) -> None:
        raise ValueError(scope["type"])

    with pytest.raises(ValueError, match="lifespan"):
        await BoundedBodies(none, 1, Room())({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
