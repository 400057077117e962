"""Lists and watches one kind of Kubernetes object; what the objects mean is in discovery."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_WATCH_SECONDS = 300
_LONGEST_PAUSE = 10.0
_LINE_LIMIT = 1 << 20

log = logging.getLogger("aiplat.gateway")


class MustListAgain(Exception):
    """The API server no longer knows the version the watch began at."""


class ObjectWatch:
    """Keeps the objects of a URL that carry a label; `changed` is told after each change.

    Lists, then watches, and begins again when either ends; `objects` keep their content meanwhile.
    """

    def __init__(self, url: str, label: str, changed: Callable[[], None], account: Path = ACCOUNT) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.listed = False
        self._url = url
        self._label = label
        self._changed = changed
        self._account = account

    async def run(self) -> None:
        """Work until cancelled; every failure is logged once and followed by a growing pause."""
        pause = 0.0
        async with aiohttp.ClientSession(connector=self._connector()) as session:
            while True:
                try:
                    version = await self._list(session)
                    pause = 0.0
                    while True:
                        version = await self._watch(session, version)
                except MustListAgain:
                    continue
                except (aiohttp.ClientError, OSError, ValueError, KeyError) as error:
                    pause = min(_LONGEST_PAUSE, 2 * pause + 0.5)
                    log.warning("%s cannot be listed: %s: %s", self._kind, type(error).__name__, error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, no secret

    @property
    def _kind(self) -> str:
        return self._url.rpartition("/")[2]

    def _connector(self) -> aiohttp.TCPConnector:
        authority = self._account / "ca.crt"
        if not authority.exists():
            return aiohttp.TCPConnector()
        return aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(authority)))

    def _headers(self) -> dict[str, str]:
        # Read every time: the kubelet replaces the token before it expires.
        token = self._account / "token"
        return {"Authorization": f"Bearer {token.read_text().strip()}"} if token.exists() else {}

    async def _list(self, session: aiohttp.ClientSession) -> str:
        query = {"labelSelector": self._label}
        timeout = aiohttp.ClientTimeout(total=30)
        async with session.get(self._url, params=query, headers=self._headers(), timeout=timeout) as answer:
            answer.raise_for_status()
            document = await answer.json()
        self.objects = {item["metadata"]["uid"]: item for item in document["items"]}
        self.listed = True
        self._changed()
        return str(document["metadata"]["resourceVersion"])

    async def _watch(self, session: aiohttp.ClientSession, version: str) -> str:
        query = {
            "labelSelector": self._label,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_WATCH_SECONDS + 30)
        async with session.get(self._url, params=query, headers=self._headers(), timeout=timeout) as answer:
            if answer.status == 410:
                raise MustListAgain
            answer.raise_for_status()
            async for event in _events(answer):
                version = self._apply(event)
        return version

    def _apply(self, event: dict[str, Any]) -> str:
        kind, thing = event["type"], event["object"]
        if kind == "ERROR":
            raise MustListAgain
        if kind in {"ADDED", "MODIFIED"}:
            self.objects[thing["metadata"]["uid"]] = thing
            self._changed()
        elif kind == "DELETED":
            self.objects.pop(thing["metadata"]["uid"], None)
            self._changed()
        return str(thing["metadata"]["resourceVersion"])


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    rest = b""
    async for piece in answer.content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _LINE_LIMIT:
            raise ValueError("a watch event is larger than 1 MiB")
        for line in lines:
            if line.strip():
                yield json.loads(line)


def api_server() -> str:
    """Return the API server's URL as Kubernetes tells every pod.

    Raises:
        ValueError: this process does not run in a pod.
    """
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ValueError("not in a Kubernetes pod (KUBERNETES_SERVICE_HOST is not set); use --static FILE")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
