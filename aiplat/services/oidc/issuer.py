"""The issuer as a server: its description, keys, endpoints; asked within bounds, what it says is kept."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt

from aiplat.errors import AiplatError, Finding
from aiplat.services.answers import document_of
from aiplat.services.bounds import (
    ISSUER_BYTES,
    ISSUER_FRESH_SECONDS,
    ISSUER_KEYS,
    ISSUER_RETRY_SECONDS,
    LOOK_SECONDS,
)

KINDS = {"RS256": "RSA", "ES256": "EC"}
"""Algorithms that are accepted and the kind of key that each needs: none that a public key could sign by."""
_WELL_KNOWN = "/.well-known/openid-configuration"
_OK = 200


class IssuerAwayError(AiplatError):
    """The issuer does not answer, or not as one does; the same call may work later."""


class IssuerRefusalError(AiplatError):
    """The issuer said no."""


@dataclass(frozen=True)
class Endpoints:
    """Where an issuer is asked for what; empty where it does not offer that."""

    authorization: str
    token: str
    keys: str
    userinfo: str = ""
    end_session: str = ""


class Issuer:
    """One issuer. Many may ask at once; the issuer is asked by one of them, and not more than bounds say."""

    def __init__(
        self,
        url: str,
        ca: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        proxy: str = "",
    ) -> None:
        self.url = url
        self._ca = ca
        self._proxy = proxy or None
        self._clock = clock
        self._lock = asyncio.Lock()
        self._endpoints: Endpoints | None = None
        self._keys: dict[tuple[str, str], Any] = {}
        self._fresh_until = self._quiet_until = float("-inf")

    async def endpoints(self) -> Endpoints:
        """Return where the issuer is asked for what.

        Raises:
            IssuerAwayError: it does not answer, or says that it is another.
        """
        async with self._lock:
            if self._endpoints is None:
                await self._refresh()
            return self._known()

    async def key(self, kid: str, algorithm: str) -> Any | None:
        """Return the key that a token names, or None; an empty name is that of an only key.

        Raises:
            IssuerAwayError: no key was ever had of it.
        """
        async with self._lock:
            found = self._key(kid, algorithm)
            if found is None or self._clock() >= self._fresh_until:
                await self._refresh()
                found = self._key(kid, algorithm)
            self._known()
        return found

    async def ask(self, url: str, form: Mapping[str, str] | None = None, **headers: str) -> dict[str, Any]:
        """Return what the issuer answers to a question, or to a form.

        Raises:
            IssuerRefusalError: it says no.
            IssuerAwayError: it does not answer, or not with a JSON object.
        """
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=self._ca and str(self._ca)))
        timeout = aiohttp.ClientTimeout(total=LOOK_SECONDS)
        headers = {"Accept": "application/json", **headers}
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session,
                session.request(
                    "POST" if form else "GET", url, data=form, allow_redirects=False, proxy=self._proxy
                ) as answer,
            ):
                told = await _told(answer)
                if answer.status != _OK:
                    said = str(told.get("error_description") or told.get("error") or answer.status)
                    raise IssuerRefusalError(Finding("sign-in", f"the issuer says no: {said[:200]}"))
                return told
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise _away(type(error).__name__) from error

    async def _refresh(self) -> None:
        """Ask again, unless that was done just now; what was known stays where the issuer is away."""
        if self._clock() < self._quiet_until:
            return
        self._quiet_until = self._clock() + ISSUER_RETRY_SECONDS
        try:
            endpoints = _endpoints(self.url, await self.ask(self.url.rstrip("/") + _WELL_KNOWN))
            keys = _keys(await self.ask(endpoints.keys))
        except AiplatError:
            if self._endpoints is None:
                raise
            return
        self._endpoints, self._keys = endpoints, keys
        self._fresh_until = self._clock() + ISSUER_FRESH_SECONDS

    def _known(self) -> Endpoints:
        if self._endpoints is None:
            raise _away("it was asked a moment ago")
        return self._endpoints

    def _key(self, kid: str, algorithm: str) -> Any | None:
        kind = KINDS[algorithm]
        if kid:
            return self._keys.get((kid, kind))
        of_kind = [key for (_, known), key in self._keys.items() if known == kind]
        return of_kind[0] if len(of_kind) == 1 else None


async def _told(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        told = await document_of(answer, ISSUER_BYTES)
    except ValueError:
        if answer.status != _OK:
            return {}
        raise
    if not isinstance(told, dict):
        raise ValueError("not an object")
    return told


def _away(why: str) -> IssuerAwayError:
    problem = f"its issuer does not answer as it should ({why})"
    return IssuerAwayError(Finding("sign-in", problem, "try again in a moment"))


def _endpoints(issuer: str, told: Mapping[str, Any]) -> Endpoints:
    """Return the endpoints of a description, which must be of this issuer and no less protected than it."""
    if told.get("issuer") != issuer:
        raise IssuerAwayError(
            Finding("sign-in", f'the issuer at {issuer} calls itself "{str(told.get("issuer"))[:200]}"')
        )
    names = {
        "authorization": "authorization_endpoint",
        "token": "token_endpoint",
        "keys": "jwks_uri",
        "userinfo": "userinfo_endpoint",
        "end_session": "end_session_endpoint",
    }
    found = {ours: str(told.get(theirs) or "") for ours, theirs in names.items()}
    scheme = urlsplit(issuer).scheme
    for ours, url in found.items():
        if (url or ours in {"authorization", "token", "keys"}) and urlsplit(url).scheme not in {
            scheme,
            "https",
        }:
            raise IssuerAwayError(Finding("sign-in", f"the issuer's {names[ours]} is not a {scheme} address"))
    return Endpoints(**found)


def _keys(told: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """Return the keys for signatures that can be used, by name and kind."""
    found: dict[tuple[str, str], Any] = {}
    listed = told.get("keys")
    for jwk in listed[:ISSUER_KEYS] if isinstance(listed, list) else ():
        if (
            not isinstance(jwk, dict)
            or jwk.get("use", "sig") != "sig"
            or jwk.get("kty") not in KINDS.values()
        ):
            continue
        algorithm = next(name for name, kind in KINDS.items() if kind == jwk["kty"])
        try:
            found[str(jwk.get("kid", "")), jwk["kty"]] = jwt.PyJWK(jwk, algorithm).key
        except jwt.PyJWTError:
            continue
    return found
