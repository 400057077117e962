"""Somebody with a browser in front of a lab's site: names lead to its server, cookies are kept."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from tests.patience import PATIENCE

VERIFIER = "v" * 64
SCOPES = "openid profile email groups"


class Visitor:
    """One browser, or a program, which has no cookies; pages are asked for by their whole address."""

    def __init__(self, address: str, authorities: str) -> None:
        context = ssl.create_default_context(cafile=authorities)
        self._client = httpx.Client(base_url=f"https://{address}", verify=context, timeout=PATIENCE)

    def ask(self, method: str, url: str, **more: Any) -> httpx.Response:
        """Ask the site's server under the address' name; its certificate is compared with that name."""
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = {"Host": parts.netloc, "Referer": f"https://{parts.netloc}/"} | more.pop("headers", {})
        named = {"sni_hostname": parts.netloc}
        return self._client.request(method, path, headers=headers, extensions=named, **more)

    def get(self, url: str, **more: Any) -> httpx.Response:
        """Ask for a page, not following where it leads."""
        return self.ask("GET", url, **more)

    def post(self, url: str, **fields: str) -> httpx.Response:
        """Post a form, with what the page it stands on says against forgery."""
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.get(url).text)
        return self.ask("POST", url, data=({"csrf_token": token[1]} if token else {}) | fields)

    def given(self, issuer: str, name: str, password: str) -> httpx.Response:
        """Give name and password; the answer leads on where they are taken."""
        first = self.post(f"{issuer}/login", login=name, remember="y")
        return self.post(within(issuer, first), password=password)

    def signed_in(self, issuer: str, name: str, password: str) -> bool:
        """Give name and password; whether they were taken."""
        return self.given(issuer, name, password).is_redirect

    def code(self, issuer: str, client_id: str, redirect: str) -> str:
        """Return the code that a client gets for this visitor, empty where somebody has to sign in first."""
        digest = hashlib.sha256(VERIFIER.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect,
            "scope": SCOPES,
            "state": "s1",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        answer = self.get(f"{issuer}/oauth/authorize?{httpx.QueryParams(asked)}")
        assert answer.is_redirect, answer.text
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query)).get("code", "")


def within(issuer: str, answer: httpx.Response) -> str:
    """Return where an answer leads, as a whole address."""
    return str(httpx.URL(issuer).join(answer.headers.get("location", "")))


def verified(token: str, keys: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the claims of a token that one of the issuer's keys has signed, RS256."""
    signed, _, signature = token.rpartition(".")
    header, claims = (json.loads(_bytes(part)) for part in signed.split("."))
    assert header["alg"] == "RS256"
    key = next(k for k in keys if k["kid"] == header["kid"])
    numbers = RSAPublicNumbers(*(int.from_bytes(_bytes(key[part])) for part in ("e", "n")))
    numbers.public_key().verify(_bytes(signature), signed.encode(), PKCS1v15(), SHA256())
    return dict(claims)


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
