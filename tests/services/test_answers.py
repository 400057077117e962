"""What another program answers is read whole, also where it comes in pieces, and never without a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from aiplat.services.answers import document_of


async def read(pieces: Sequence[bytes], most: int) -> Any:
    """Return what is read of a server on loopback, whose later pieces come once the first has arrived."""
    arrived = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await arrived.wait()
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/") as told:
            arrived.set()
            return await document_of(told, most)
    finally:
        await runner.cleanup()


def test_an_answer_that_comes_in_pieces_is_read_to_its_end() -> None:
    """A long answer of an engine does, by way of the gateway."""
    assert asyncio.run(read([b'{"long": "', b"x" * 1000, b'"}'], 2000)) == {"long": "x" * 1000}


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([b"[", b"1," * 2000, b"1]"], "too long"),
        ([b"[" * 100_000], "nested too deeply"),
        ([b'{"cut": '], "Expecting value"),
    ],
)
def test_what_cannot_be_read_is_one_kind_of_error(pieces: list[bytes], said: str) -> None:
    """Whoever asks tells its own fault from it, and continues."""
    with pytest.raises(ValueError, match=said):
        asyncio.run(read(pieces, 4000 if len(pieces) == 3 else 200_000))
