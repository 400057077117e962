"""Reads what another program answers over HTTP, whole and within a bound; what it says, who asked judges."""

from __future__ import annotations

from typing import Any

import aiohttp

from aiplat.content import parsed_json


async def document_of(answer: aiohttp.ClientResponse, most: int) -> Any:
    """Return the JSON document that an answer is, of at most `most` bytes.

    Raises:
        ValueError: it is longer, is not JSON, or is nested too deeply.
        aiohttp.ClientError, TimeoutError: it broke off.
    """
    body = bytearray()
    # One read may return a part of the answer: what has come by then.
    async for piece in answer.content.iter_any():
        body += piece
        if len(body) > most:
            raise ValueError("the answer is too long")
    return parsed_json(bytes(body))
