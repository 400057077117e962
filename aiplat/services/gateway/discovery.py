"""Keeps the model table in step with the Services labelled aiplat.dev/model; asks Kubernetes nothing else."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import ssl
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp

from aiplat.services.gateway.models import Model, ModelTable

LABEL_MODEL = "aiplat.dev/model"
LABEL_ENGINE = "aiplat.dev/engine"
NOTE_NAME = "aiplat.dev/model-name"
NOTE_ALIASES = "aiplat.dev/model-aliases"
NOTE_SERVED_AS = "aiplat.dev/served-as"

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_WATCH_SECONDS = 300
_LONGEST_PAUSE = 10.0
_LINE_LIMIT = 1 << 20

log = logging.getLogger("aiplat.gateway")


class MustListAgain(Exception):
    """The API server no longer knows the version the watch began at."""


def model_of(service: dict[str, Any]) -> Model | None:
    """Return the model a labelled Service stands for, or None when it lacks a port or an address.

    The cluster IP is used rather than the name: the data path then needs no DNS.
    """
    meta, spec = service["metadata"], service["spec"]
    labels, notes = meta.get("labels", {}), meta.get("annotations", {})
    address, ports = spec.get("clusterIP"), spec.get("ports") or []
    if not ports or not address:
        return None
    host = f"{meta['name']}.{meta['namespace']}.svc" if address == "None" else address
    if ":" in host:
        host = f"[{host}]"
    created = datetime.fromisoformat(meta.get("creationTimestamp", "1970-01-01T00:00:00+00:00"))
    return Model(
        name=notes.get(NOTE_NAME) or labels[LABEL_MODEL],
        url=f"http://{host}:{ports[0]['port']}",
        engine=labels.get(LABEL_ENGINE, "ollama"),
        aliases=tuple(a for a in notes.get(NOTE_ALIASES, "").split(",") if a),
        served_as=notes.get(NOTE_SERVED_AS, ""),
        created=int(created.timestamp()),
    )


class ServiceWatch:
    """Lists, then watches, and begins again when either ends; the table keeps its content meanwhile."""

    def __init__(self, table: ModelTable, namespace: str, api: str, account: Path = _ACCOUNT) -> None:
        self._table = table
        self._url = f"{api}/api/v1/namespaces/{namespace}/services"
        self._account = account
        self._seen: dict[str, Model] = {}

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
                    log.warning("models cannot be listed: %s: %s", type(error).__name__, error)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, no secret

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
        query = {"labelSelector": LABEL_MODEL}
        timeout = aiohttp.ClientTimeout(total=30)
        async with session.get(self._url, params=query, headers=self._headers(), timeout=timeout) as answer:
            answer.raise_for_status()
            document = await answer.json()
        self._seen = {}
        for service in document["items"]:
            self._keep(service)
        self._publish()
        return str(document["metadata"]["resourceVersion"])

    async def _watch(self, session: aiohttp.ClientSession, version: str) -> str:
        query = {
            "labelSelector": LABEL_MODEL,
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
            self._keep(thing)
            self._publish()
        elif kind == "DELETED":
            self._seen.pop(thing["metadata"]["uid"], None)
            self._publish()
        return str(thing["metadata"]["resourceVersion"])

    def _keep(self, service: dict[str, Any]) -> None:
        uid = service["metadata"]["uid"]
        try:
            model = model_of(service)
        except ValueError as error:
            log.warning("Service %s is not a usable model: %s", service["metadata"]["name"], error)
            model = None
        self._seen.pop(uid, None)
        if model is not None:
            self._seen[uid] = model

    def _publish(self) -> None:
        self._table.replace(self._seen.values())
        log.info("models: %s", ", ".join(self._table.names()) or "none")


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
