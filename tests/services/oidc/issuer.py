"""A small OpenID Connect issuer on loopback: real HTTP, TLS and keys, codes with PKCE, tokens tests bend."""

from __future__ import annotations

import json
import secrets
import ssl
import threading
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from aiplat.vault.pki import issue, make_ca

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NEXT_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE_KEY = ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: Any, kid: str, algorithm: str = "RS256") -> dict[str, Any]:
    """Return a key's public half as an issuer publishes it."""
    half = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**half, "kid": kid, "use": "sig", "alg": algorithm}


@dataclass
class Asked:
    """What a code was given out for."""

    client: str
    redirect: str
    challenge: str
    nonce: str
    who: dict[str, Any]


@dataclass
class TestIssuer:
    """The issuer. `who` signs in next, without a page: what a browser would show is not looked at here.

    With a folder it speaks TLS by a certificate of a CA of its own, whose certificate is `authority` (PEM).
    """

    __test__ = False

    redirects: dict[str, tuple[str, ...]]
    who: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1", "groups": ["member"]})
    keys: list[dict[str, Any]] = field(default_factory=lambda: [public_jwk(KEY, "one")])
    requests: list[str] = field(default_factory=list)
    broken: bool = False
    folder: Path | None = None
    authority: str = ""
    asked_for_groups: bool = False
    """Whether groups are told to who asks about somebody, and in no token, as some providers do."""

    def __post_init__(self) -> None:
        """Listen."""
        self._codes: dict[str, Asked] = {}
        self.refresh: dict[str, Asked] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.issuer = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        if self.folder is not None:
            self._speak_tls(self.folder)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _speak_tls(self, folder: Path) -> None:
        authority = make_ca("issuer")
        leaf = issue(authority, "issuer", ["127.0.0.1"])
        (folder / "issuer.pem").write_text(leaf.key + leaf.crt)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "issuer.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.authority, self.url = authority.crt, self.url.replace("http:", "https:")

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def claims(self, audience: str, **bent: Any) -> dict[str, Any]:
        """Return what a token says, with what a test says instead; None leaves a claim out."""
        now = int(time.time())
        told = {"iss": self.url, "aud": audience, "iat": now, "exp": now + 600, **self.who, **bent}
        if self.asked_for_groups:
            told["groups"] = None
        return {name: value for name, value in told.items() if value is not None}

    def token(
        self, audience: str, key: Any = KEY, kid: str | None = "one", alg: str = "RS256", **bent: Any
    ) -> str:
        """Return a signed token."""
        headers = {"kid": kid} if kid is not None else {}
        return jwt.encode(self.claims(audience, **bent), key, algorithm=alg, headers=headers)

    def answer(self, method: str, path: str, form: dict[str, str]) -> tuple[int, Any, str]:
        """Return status, document and where to go on for a request."""
        asked = urlsplit(path)
        query = {name: values[-1] for name, values in parse_qs(asked.query).items()}
        self.requests.append(asked.path)
        if self.broken:
            return 503, {"error": "broken"}, ""
        if method == "GET" and asked.path in self._documents():
            return 200, self._documents()[asked.path], ""
        match method, asked.path:
            case "GET", "/authorize":
                return self._authorize(query)
            case "POST", "/token":
                return self._token(form)
        return 404, {"error": "not_found"}, ""

    def _documents(self) -> dict[str, Any]:
        told = {"/.well-known/openid-configuration": self._description(), "/keys": {"keys": self.keys}}
        return told | ({"/about": self.who} if self.asked_for_groups else {})

    def _description(self) -> dict[str, Any]:
        ends = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        ends["end_session_endpoint"] = "/end"
        if self.asked_for_groups:
            ends["userinfo_endpoint"] = "/about"
        return {"issuer": self.url} | {name: self.url + path for name, path in ends.items()}

    def _authorize(self, query: dict[str, str]) -> tuple[int, Any, str]:
        if query.get("redirect_uri") not in self.redirects.get(query.get("client_id", ""), ()):
            return 400, {"error": "invalid_redirect_uri"}, ""
        assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
        code = secrets.token_urlsafe(16)
        self._codes[code] = Asked(
            query["client_id"], query["redirect_uri"], query["code_challenge"], query["nonce"], dict(self.who)
        )
        back = urlencode({"code": code, "state": query["state"], "iss": self.url})
        return 302, {}, f"{query['redirect_uri']}?{back}"

    def _token(self, form: dict[str, str]) -> tuple[int, Any, str]:
        if form.get("grant_type") == "refresh_token":
            asked = self.refresh.pop(form.get("refresh_token", ""), None)
        else:
            asked = self._codes.pop(form.get("code", ""), None)
            digest = sha256(form.get("code_verifier", "").encode()).digest()
            proof = urlsafe_b64encode(digest).decode().rstrip("=")
            if asked and (asked.challenge, asked.redirect) != (proof, form.get("redirect_uri")):
                asked = None
        if asked is None:
            return 400, {"error": "invalid_grant"}, ""
        again = secrets.token_urlsafe(16)
        self.refresh[again] = asked
        token = self.token(asked.client, nonce=asked.nonce, **asked.who)
        return (
            200,
            {"id_token": token, "access_token": "x", "refresh_token": again, "token_type": "Bearer"},
            "",
        )


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        self._answer({name: values[-1] for name, values in parse_qs(body).items()})

    def _answer(self, form: dict[str, str]) -> None:
        issuer: TestIssuer = self.server.issuer  # type: ignore[attr-defined]
        status, document, location = issuer.answer(self.command, self.path, form)
        body = json.dumps(document).encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output readable."""
