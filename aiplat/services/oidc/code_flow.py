"""Signing in at the issuer by browser: Authorization Code with PKCE, state and nonce; it keeps nothing."""

from __future__ import annotations

import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

from aiplat.errors import Finding
from aiplat.services.oidc.entry import Entry
from aiplat.services.oidc.issuer import IssuerRefusalError
from aiplat.services.oidc.verify import Claimed, TokenRefusedError, identity_of, verified


@dataclass(frozen=True)
class Begun:
    """What the browser that began to sign in keeps until it comes back, sealed; `then` is where it goes."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    then: str

    @classmethod
    def new(cls, then: str) -> Begun:
        """Return the beginning of a sign-in that nobody can guess."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, then)


async def address(entry: Entry, begun: Begun, redirect: str) -> str:
    """Return where the browser is sent to sign in.

    Raises:
        IssuerAwayError: the issuer does not answer.
    """
    digest = sha256(begun.verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": entry.client.id,
        "redirect_uri": redirect,
        "scope": " ".join(entry.sign_in.scopes),
        "state": begun.state,
        "nonce": begun.nonce,
        "code_challenge": urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    return _with((await entry.issuer.endpoints()).authorization, asked)


async def finished(
    entry: Entry, begun: Begun, answer: Mapping[str, str], redirect: str
) -> tuple[Claimed, str]:
    """Return who came back from the issuer, and the token that says so.

    Raises:
        TokenRefusedError: the answer is not to this beginning, or its token is not to be believed.
        IssuerRefusalError: the issuer says no.
        IssuerAwayError: it does not answer.
    """
    if not secrets.compare_digest(answer.get("state", "").encode(), begun.state.encode()):
        raise TokenRefusedError(Finding("sign-in", "was not begun here", "begin it again"))
    if answer.get("iss", entry.issuer.url) != entry.issuer.url:
        raise TokenRefusedError(Finding("sign-in", "is answered by another issuer", "begin it again"))
    if "code" not in answer:
        said = answer.get("error_description") or answer.get("error") or "no code"
        raise IssuerRefusalError(Finding("sign-in", f"the issuer says no: {said[:200]}"))
    tokens = await _tokens(entry, answer["code"], begun.verifier, redirect)
    token = str(tokens.get("id_token", ""))
    claims = await verified(entry.issuer, token, (entry.client.id,))
    if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), begun.nonce.encode()):
        raise TokenRefusedError(Finding("token", "is not for this sign-in", "begin it again"))
    return identity_of(entry.sign_in, await _with_groups(entry, claims, tokens)), token


async def farewell(entry: Entry, hint: str, back: str) -> str:
    """Return where the issuer ends its own session, empty where it offers that nowhere.

    Raises:
        IssuerAwayError: the issuer does not answer.
    """
    end = (await entry.issuer.endpoints()).end_session
    asked = {"client_id": entry.client.id, "post_logout_redirect_uri": back}
    return _with(end, {**asked, **({"id_token_hint": hint} if hint else {})}) if end else ""


async def _tokens(entry: Entry, code: str, verifier: str, redirect: str) -> dict[str, Any]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect,
        "code_verifier": verifier,
    }
    client = entry.client
    if not client.secret:
        form["client_id"] = client.id
        return await entry.issuer.ask((await entry.issuer.endpoints()).token, form)
    # Both halves are encoded as in a form before they are joined (RFC 6749, "Client Password").
    both = f"{quote(client.id, safe='')}:{quote(client.secret, safe='')}"
    basic = f"Basic {b64encode(both.encode()).decode()}"
    return await entry.issuer.ask((await entry.issuer.endpoints()).token, form, Authorization=basic)


async def _with_groups(entry: Entry, claims: dict[str, Any], tokens: Mapping[str, Any]) -> dict[str, Any]:
    """Return claims with the groups that some issuers tell only when they are asked who somebody is."""
    about = (await entry.issuer.endpoints()).userinfo
    if entry.sign_in.groups_claim in claims or not about or not tokens.get("access_token"):
        return claims
    told = await entry.issuer.ask(about, Authorization=f"Bearer {tokens['access_token']}")
    return {**told, **claims} if told.get("sub") == claims["sub"] else claims


def _with(url: str, asked: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}"
