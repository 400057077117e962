"""The portal as a client of the gateway: it asks with the visitor's key, so that usage names them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from aiplat.errors import AiplatError, Finding
from aiplat.services.answers import document_of
from aiplat.services.bounds import ANSWER_BYTES, ANSWER_SECONDS, ERROR_BYTES, LISTED_BYTES, LOOK_SECONDS

_PIECE = 16 << 10
_OK = 200


class GatewayRefusalError(AiplatError):
    """The gateway did not answer, or said no."""


class Gateway:
    """Asks the gateway at `url` (with `/v1`); `ca` is a file of the certificates that are trusted."""

    def __init__(self, url: str, ca: Path | None = None) -> None:
        self._url = url.rstrip("/")
        self._trusted = ssl.create_default_context(cafile=str(ca)) if ca else None

    async def models(self, secret: str) -> list[str]:
        """Return the models that a key may use.

        Raises:
            GatewayRefusalError: the gateway does not answer, or refuses the key.
        """
        timeout = aiohttp.ClientTimeout(total=LOOK_SECONDS)
        async with self._asked("GET", "/models", secret, None, timeout) as answer:
            told = await document_of(answer, LISTED_BYTES)
        return sorted(str(model["id"]) for model in told.get("data", []))

    async def stream(self, secret: str, question: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """Yield a chat completion's event stream as the gateway sends it.

        Raises:
            GatewayRefusalError: the gateway does not answer, or says no; before the first piece.
        """
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, connect=LOOK_SECONDS)
        body = {**question, "stream": True}
        got = 0
        async with self._asked("POST", "/chat/completions", secret, body, timeout) as answer:
            async for piece in answer.content.iter_chunked(_PIECE):
                got += len(piece)
                if got > ANSWER_BYTES:
                    return
                yield piece

    async def answer(self, secret: str, question: Mapping[str, Any]) -> str:
        """Return the text of a chat completion, whole.

        Raises:
            GatewayRefusalError: the gateway does not answer, or says no.
        """
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, connect=LOOK_SECONDS)
        async with self._asked("POST", "/chat/completions", secret, question, timeout) as answer:
            told = await document_of(answer, ANSWER_BYTES)
        return str(told["choices"][0]["message"].get("content") or "")

    @asynccontextmanager
    async def _asked(
        self,
        method: str,
        path: str,
        secret: str,
        body: Mapping[str, Any] | None,
        timeout: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Authorization": f"Bearer {secret}"}
        connector = aiohttp.TCPConnector(ssl=self._trusted or True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session,
                session.request(method, self._url + path, json=body, allow_redirects=False) as answer,
            ):
                if answer.status != _OK:
                    raise GatewayRefusalError(await _refusal(answer))
                yield answer
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, IndexError, TypeError) as error:
            problem = f"does not answer as it should ({type(error).__name__})"
            raise GatewayRefusalError(Finding("gateway", problem, "try again in a moment")) from error


async def _refusal(answer: aiohttp.ClientResponse) -> Finding:
    """Return what the gateway said no with, as OpenAI's error shape has it."""
    try:
        problem = str((await document_of(answer, ERROR_BYTES))["error"]["message"])
    except (ValueError, KeyError, TypeError):
        problem = f"answered {answer.status}"
    request = answer.headers.get("x-aiplat-request-id", "")
    return Finding("gateway", f"{problem} (request {request})" if request else problem)
