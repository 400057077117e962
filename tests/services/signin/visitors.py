"""Visitors of a real Canaille in this process: browsers with cookies, programs with their secrets."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

LOGIN = "https://login.ward.test"
BACK = "https://portal.ward.test/callback"
PASSWORD = "correct horse battery"
VERIFIER = "v" * 64
SCOPES = ["openid", "profile", "email", "groups"]
PORTAL = {
    "id": "portal",
    "secret": "portal-secret",
    "name": "portal",
    "uri": "https://portal.ward.test",
    "redirectUris": [BACK],
    "postLogoutRedirectUris": ["https://portal.ward.test/"],
    "authMethod": "client_secret_basic",
    "scopes": SCOPES,
    "managesPeople": True,
}
CLI = PORTAL | {
    "id": "portal-cli",
    "secret": None,
    "redirectUris": ["http://127.0.0.1:8400/cli"],
    "authMethod": "none",
}
HUB = PORTAL | {"id": "hub", "secret": "hub-secret", "authMethod": "client_secret_post"}


class Browser:
    """One visitor with cookies, who posts forms as they were shown."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._client = app.test_client()

    def copied(self) -> Browser:
        """Return somebody who took a copy of the cookie that says who is signed in."""
        other = Browser(self._app)
        cookie = self._client.get_cookie("canaille", domain=urlsplit(LOGIN).hostname)
        other._client.set_cookie("canaille", cookie.value, domain=urlsplit(LOGIN).hostname)
        return other

    def get(self, url: str) -> Any:
        """Ask for a page, not following where it leads."""
        return self._client.get(url, base_url=LOGIN)

    def post(self, url: str, *, on: str = "", **fields: str | list[str]) -> Any:
        """Post a form, with what the page that it stands `on` says against forgery."""
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.get(on or url).text)
        given = {"csrf_token": token[1]} if token else {}
        return self._client.post(
            url, data=given | fields, base_url=LOGIN, headers={"Referer": LOGIN + "/"}, follow_redirects=False
        )

    def signed_in(self, name: str, password: str = PASSWORD) -> str:
        """Give name and password; return where that leads, empty where the password is refused."""
        first = self.post("/login", login=name, remember="y")
        second = self.post(first.location.removeprefix(LOGIN), password=password)
        return second.location or ""

    def authorized(self, client: dict[str, Any], **extra: str) -> Any:
        """Ask for a code as a program's web page does, without a nonce."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": client["id"],
            "redirect_uri": client["redirectUris"][0],
            "scope": " ".join(SCOPES),
            "state": "s1",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return self._client.get("/oauth/authorize", query_string=asked | extra, base_url=LOGIN)

    def code(self, client: dict[str, Any]) -> str:
        """Return the code that a client gets for this visitor, empty where it gets none."""
        return dict(parse_qsl(urlsplit(self.authorized(client).location or "").query)).get("code", "")


class Program:
    """A client's own side: it has no cookies."""

    def __init__(self, app: Any) -> None:
        self._client = app.test_client()

    def token(self, client: dict[str, Any], how: str = "", **fields: str) -> Any:
        """Ask the token endpoint, authenticated as the client is registered, or as `how` says."""
        how = how or client["authMethod"]
        data = {"client_id": client["id"]} | fields
        headers = {}
        if how == "client_secret_post":
            data["client_secret"] = client["secret"]
        elif how == "client_secret_basic":
            pair = base64.b64encode(f"{client['id']}:{client['secret']}".encode()).decode()
            headers = {"Authorization": f"Basic {pair}"}
        return self._client.post("/oauth/token", data=data, headers=headers, base_url=LOGIN)

    def exchange(self, client: dict[str, Any], code: str, how: str = "") -> Any:
        """Turn a code into tokens."""
        back = client["redirectUris"][0]
        grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": back}
        return self.token(client, how, code_verifier=VERIFIER, **grant)

    def refresh(self, client: dict[str, Any], token: str) -> Any:
        """Ask for the next access token."""
        return self.token(client, grant_type="refresh_token", refresh_token=token)

    def userinfo(self, access_token: str) -> Any:
        """Ask who a token speaks for."""
        return self._client.get(
            "/oauth/userinfo", headers={"Authorization": f"Bearer {access_token}"}, base_url=LOGIN
        )


def read(token: str) -> dict[str, Any]:
    """Return a token's header and claims, unverified."""
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return {"header": header, "claims": claims}
