"""`aiplat login`: a person's session at the site's sign-in: how it is got, kept, renewed."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from aiplat.actions.login_listener import Listener
from aiplat.catalog.resolve import components_on
from aiplat.content import parsed_json, write_atomic
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.moments import moment_at
from aiplat.plan.sign_in import SCOPES, sign_in
from aiplat.site.models import Site
from aiplat.state import private_dir, site_dir, state_home

_SECONDS = 30.0
_SPARE = 60
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class LoginProvider:
    """Where people sign in, as which client.

    `ca` is a file of who vouches for the issuer, `authorities` the same as PEM; without both it is whom the
    machine trusts.
    """

    issuer: str
    client: str
    ca: Path | None = None
    scopes: tuple[str, ...] = SCOPES
    authorities: str = ""

    @property
    def file(self) -> Path:
        """Where a session at this provider is kept."""
        named = sha256(f"{self.issuer} {self.client}".encode()).hexdigest()[:16]
        return private_dir(state_home() / "logins") / f"{named}.json"


@dataclass(frozen=True)
class Login:
    """A session: who, until when (Unix seconds), the token that says so, and what gets the next one."""

    name: str
    expires: int
    id_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)

    def exec_credential(self) -> dict[str, Any]:
        """Return the document that kubectl takes from a credential plugin."""
        until = moment_at(self.expires).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "client.authentication.k8s.io/v1",
            "kind": "ExecCredential",
            "status": {"token": self.id_token, "expirationTimestamp": until},
        }


def provider_of_site(site: Site) -> LoginProvider:
    """Return where the people of a site sign in.

    Raises:
        BadInput: the site has no sign-in, or none for the command line.
    """
    known = sign_in(site, components_on(site), {})
    client = next((c["id"] for c in known.get("clients", ()) if c["public"] and c["id"]), "")
    if not client:
        problem = "has no sign-in for the command line"
        fix = "turn on the components canaille and portal, or name another by --issuer and --client"
        raise BadInput(Finding(f"site {site.name}", problem, fix))
    return LoginProvider(
        issuer=known["issuer"],
        client=client,
        ca=site.sign_in.ca if site.sign_in else site_dir(site.name) / "ca.crt",
        scopes=tuple(known["scopes"]),
    )


def logged_in(provider: LoginProvider) -> Login | None:
    """Return the session that is kept, with a new token where the old one is over; None: sign in again.

    Raises:
        AiplatError: the issuer does not answer.
    """
    with _alone(provider):
        kept = _kept(provider)
        if kept is None or kept.expires - _SPARE > time.time():
            return kept
        if not kept.refresh_token:
            return None
        form = {"grant_type": "refresh_token", "refresh_token": kept.refresh_token}
        try:
            told = _tokens(provider, form)
            login = _login(provider, {"refresh_token": kept.refresh_token, **told})
        except _RefusedError:
            return None
        return _keep(provider, login)


def log_in(provider: LoginProvider, tell: Callable[[str], None], seconds: float = 300.0) -> Login:
    """Have somebody sign in with a browser on this machine, and keep the session; `tell` gets the address.

    Raises:
        AiplatError: nobody signed in in time, the issuer says no or does not answer, or every port is taken.
    """
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
    with Listener(state) as listener:
        asked = {
            "response_type": "code",
            "client_id": provider.client,
            "redirect_uri": listener.url,
            "scope": " ".join(provider.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        begin = _description(provider)["authorization_endpoint"]
        tell(f"{begin}{'&' if '?' in begin else '?'}{urlencode(asked)}")
        answer = listener.answer(seconds)
    if "code" not in answer:
        said = answer.get("error_description") or answer.get("error") or "no code"
        raise AiplatError(Finding("login", f"the issuer says no: {said[:200]}"))
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": listener.url,
        "code_verifier": verifier,
    }
    with _alone(provider):
        return _keep(provider, _login(provider, _tokens(provider, form), nonce))


def log_out(provider: LoginProvider) -> bool:
    """Forget the session that is kept; False where there was none."""
    with _alone(provider):
        there = provider.file.exists()
        provider.file.unlink(missing_ok=True)
    return there


class _RefusedError(AiplatError):
    """The issuer said no."""


@contextmanager
def _alone(provider: LoginProvider) -> Iterator[None]:
    # kubectl asks from several processes at once, and a refresh token is good once.
    handle = os.open(provider.file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _kept(provider: LoginProvider) -> Login | None:
    try:
        return Login(**parsed_json(provider.file.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _keep(provider: LoginProvider, login: Login) -> Login:
    write_atomic(provider.file, json.dumps(vars(login)).encode(), 0o600)
    return login


def _tokens(provider: LoginProvider, form: dict[str, str]) -> dict[str, Any]:
    return _ask(provider, _description(provider)["token_endpoint"], {**form, "client_id": provider.client})


def _description(provider: LoginProvider) -> dict[str, Any]:
    told = _ask(provider, f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration")
    if told.get("issuer") != provider.issuer:
        raise _away(provider, f'it calls itself "{str(told.get("issuer"))[:200]}"')
    for name in ("authorization_endpoint", "token_endpoint"):
        # What is at least as protected as the issuer itself.
        if not str(told.get(name)).startswith(("https://", f"{httpx.URL(provider.issuer).scheme}://")):
            raise _away(provider, f"its {name} is not an address")
    return told


def _ask(provider: LoginProvider, url: str, form: dict[str, str] | None = None) -> dict[str, Any]:
    try:
        file = provider.ca and str(provider.ca)
        trusted = ssl.create_default_context(cafile=file, cadata=provider.authorities or None)
        with httpx.Client(verify=trusted, timeout=_SECONDS) as client:
            answer = client.post(url, data=form) if form else client.get(url)
        told = parsed_json(answer.content[:_MOST_BYTES]) if answer.content else {}
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise _away(provider, str(error) or type(error).__name__) from error
    if not isinstance(told, dict):
        raise _away(provider, "its answer is not an object")
    if answer.is_error:
        said = str(told.get("error_description") or told.get("error") or answer.status_code)
        raise _RefusedError(Finding("login", f"the issuer says no: {said[:200]}", "log in again"))
    return told


def _away(provider: LoginProvider, why: str) -> AiplatError:
    fix = "make its name known by `aiplat hosts`, and look whether the site is up"
    return AiplatError(Finding(provider.issuer, f"does not answer as an issuer: {why}", fix))


def _login(provider: LoginProvider, told: dict[str, Any], nonce: str | None = None) -> Login:
    """Return the session of an answer, which came from the issuer itself, by a connection that proves it."""
    token = str(told.get("id_token", ""))
    try:
        body = token.split(".")[1]
        claims = parsed_json(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        right = claims["iss"] == provider.issuer and provider.client in audiences
        expires = int(claims["exp"])
        moment_at(expires)
    except (IndexError, KeyError, ValueError, TypeError):
        right, claims, expires = False, {}, 0
    if not right or (nonce is not None and claims.get("nonce") != nonce):
        raise _RefusedError(Finding("login", "the issuer's token is not for this login", "log in again"))
    name = str(claims.get("preferred_username") or claims.get("name") or claims.get("sub"))
    return Login(name, expires, token, str(told.get("refresh_token") or ""))
