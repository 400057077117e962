"""An OpenID Connect provider that is not aiplat's, where one person is signed in already: the company's.

A lab's host runs it, so it is Python's own modules alone; `settings.json` beside the keys says everything.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

# What stands before a SHA-256 in a signature (RFC 8017, 9.2).
_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")


class Provider(BaseHTTPRequestHandler):
    """Answers what clients ask of it, by code and PKCE, at registered addresses alone.

    Clients have secrets, but for those of a command line.
    """

    settings: dict[str, Any]
    codes: dict[str, dict[str, str]]

    def do_GET(self) -> None:
        """Discovery, keys, and the page that would ask for a password."""
        issuer, key, parts = self.settings["issuer"], self.settings["key"], urlsplit(self.path)
        asked = dict(parse_qsl(parts.query))
        if parts.path.endswith("/.well-known/openid-configuration"):
            self._answer(200, _discovery(issuer))
        elif parts.path.endswith("/keys"):
            public = {name: _text(_bytes(key[name])) for name in ("n", "e")}
            self._answer(
                200, {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one", **public}]}
            )
        elif parts.path.endswith("/authorize") and self._is_known(asked):
            self.codes[f"code-{len(self.codes)}"] = asked
            back = {"code": f"code-{len(self.codes) - 1}", "state": asked["state"]}
            self._answer(302, {}, f"{asked['redirect_uri']}?{urlencode(back)}")
        else:
            self._answer(400, {"error": "invalid_request", "asked": asked})

    def do_POST(self) -> None:
        """Turn a code into tokens, for the client that it was made for."""
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        asked = self.codes.pop(form.get("code", ""), {})
        client = asked.get("client_id", "")
        challenge = _text(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        same = asked.get("redirect_uri") == form.get("redirect_uri")
        if not (self._is(client, form) and same and challenge == asked.get("code_challenge")):
            self._answer(401, {"error": "invalid_client"})
            return
        claims = self.settings["claims"] | {"iss": self.settings["issuer"], "aud": client}
        claims |= {"iat": int(time.time()), "exp": int(time.time()) + 300}
        claims |= {"nonce": asked["nonce"]} if "nonce" in asked else {}
        token = _signed(claims, self.settings["key"])
        self._answer(200, {"access_token": "opaque", "token_type": "Bearer", "id_token": token})

    def log_message(self, *_: Any) -> None:
        """Write nothing: codes are in the addresses."""

    def _is_known(self, asked: dict[str, str]) -> bool:
        registered = self.settings["clients"].get(asked.get("client_id"), ())
        known = set(asked.get("scope", "").split()) <= {"openid", "profile", "email"}
        return (
            known and asked.get("redirect_uri") in registered and asked.get("code_challenge_method") == "S256"
        )

    def _is(self, client: str, form: dict[str, str]) -> bool:
        """Whether who turns a code in is the client: by its secret, where it has one."""
        if client not in self.settings["secrets"]:
            return form.get("client_id") == client
        pair = f"{client}:{self.settings['secrets'][client]}".encode()
        return self.headers.get("Authorization") == f"Basic {base64.b64encode(pair).decode()}"

    def _answer(self, status: int, document: dict[str, Any], location: str = "") -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)


def _discovery(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/keys",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
    }


def _signed(claims: dict[str, Any], key: dict[str, int]) -> str:
    """Return a token, signed as RS256 says (RFC 8017, 8.2.1)."""
    parts = ({"alg": "RS256", "kid": "one", "typ": "JWT"}, claims)
    text = ".".join(_text(json.dumps(part).encode()) for part in parts)
    length = (key["n"].bit_length() + 7) // 8
    ending = b"\x00" + _SHA256 + hashlib.sha256(text.encode()).digest()
    padded = b"\x00\x01" + ending.rjust(length - 2, b"\xff")
    signature = pow(int.from_bytes(padded, "big"), key["d"], key["n"]).to_bytes(length, "big")
    return f"{text}.{_text(signature)}"


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def main(folder: Path) -> None:
    """Serve until the process is ended."""
    Provider.settings = json.loads((folder / "settings.json").read_text())
    Provider.codes = {}
    server = ThreadingHTTPServer(("", Provider.settings["port"]), Provider)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
