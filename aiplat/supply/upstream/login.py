"""Who to be for a registry, and the tokens it hands out; what is asked with them is registry's."""

from __future__ import annotations

import os
import re
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiplat.content import parsed_json
from aiplat.errors import AiplatError, Finding
from aiplat.state import home
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.reach import Credential
from aiplat.supply.upstream.references import DOCKER_HUB

# The key that Docker's and Podman's own files have for Docker Hub.
_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")
_NAMED = "name user and password under upstream.credentials in site.yaml"
_PARAMETER = re.compile(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"')
_HELPER_SECONDS = 20


def credential(http: HttpClient, host: str, answering: str) -> Credential | None:
    """Return who to be for a registry: what site.yaml says, or what `docker login` or `podman login` left.

    `answering` is the host that is really asked.

    Raises:
        AiplatError: one of them names a secret that cannot be had.
    """
    for name in (host, answering):
        known = http.credential(name)
        if known:
            return known
    return next((found for path in _files() if (found := _from_file(path, host))), None)


def token(http: HttpClient, challenge: str, repository: str, known: Credential | None, where: str) -> str:
    """Return the Authorization header that a challenge asks for.

    Raises:
        AiplatError: the registry wants something else, or its token server says no.
    """
    scheme, _, rest = challenge.partition(" ")
    said = dict(_PARAMETER.findall(rest))
    if scheme.lower() == "basic":
        if known is None:
            raise AiplatError(_wants_login(where))
        return known.header
    if scheme.lower() != "bearer" or urlsplit(said.get("realm", "")).scheme != "https":
        problem = f"wants a log-in of a kind that is not known: {challenge[:80]!r}"
        raise AiplatError(Finding(where, problem, "ask its operator for token or basic authentication"))
    scope = said.get("scope") or f"repository:{repository}:pull"
    query = {"scope": scope} | ({"service": said["service"]} if said.get("service") else {})
    mark = "&" if urlsplit(said["realm"]).query else "?"
    return "Bearer " + _fetched(http, f"{said['realm']}{mark}{urlencode(query)}", known, where)


def _fetched(http: HttpClient, url: str, known: Credential | None, where: str) -> str:
    headers = {"Authorization": known.header} if known else {}
    answer = http.get(url, headers=headers, allow={400, 401, 403})
    if answer.status != 200:
        if known is None:
            raise AiplatError(_wants_login(where))
        problem = f"its token server does not accept the credentials of {known.user or 'the token'}"
        raise AiplatError(Finding(where, f"{problem} ({answer.status})", "see whether they are still valid"))
    try:
        document = parsed_json(answer.body)
        return str(document.get("token") or document["access_token"])
    except (ValueError, KeyError, AttributeError):
        problem = "its token server answers with something that is not a token"
        raise AiplatError(
            Finding(where, problem, "see whether a proxy or log-in page answers instead")
        ) from None


def _wants_login(where: str) -> Finding:
    host = where.partition("/")[0]
    fix = f"name them under upstream.credentials.{host} in site.yaml, or run `docker login {host}`"
    return Finding(where, "only accounts that may read it get it (401), and no credentials are known", fix)


def _files() -> Iterator[Path]:
    """Yield the files in which `docker login` and `podman login` keep what they were told."""
    named = os.environ.get("REGISTRY_AUTH_FILE")
    if named:
        yield Path(named)
    yield Path(os.environ.get("DOCKER_CONFIG") or home() / ".docker") / "config.json"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        yield Path(runtime) / "containers" / "auth.json"
    yield Path(os.environ.get("XDG_CONFIG_HOME") or home() / ".config") / "containers" / "auth.json"


def _from_file(path: Path, host: str) -> Credential | None:
    try:
        document = parsed_json(path.read_bytes())
    except OSError:
        return None
    except ValueError:
        problem = "is not the JSON that `docker login` writes"
        raise AiplatError(Finding(str(path), problem, "repair it, or move it away")) from None
    keys = _HUB_KEYS if host == DOCKER_HUB else (host, f"https://{host}", f"https://{host}/v1/")
    store = document.get("credsStore") if isinstance(document, dict) else None
    for key in keys:
        helper = _under(document, "credHelpers").get(key) or store
        entry = _under(document, "auths").get(key)
        found = _decoded(path, entry) or (_from_helper(helper, key) if helper else None)
        if found:
            return found
    return None


def _under(document: Any, name: str) -> dict[str, Any]:
    """Return an object of a document that anybody may have written."""
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _decoded(path: Path, entry: Any) -> Credential | None:
    if not isinstance(entry, dict) or not (entry.get("auth") or entry.get("identitytoken")):
        return None
    if entry.get("identitytoken"):
        raise AiplatError(
            Finding(str(path), "keeps an identity token, which only Docker itself can use", _NAMED)
        )
    try:
        user, _, secret = b64decode(entry["auth"], validate=True).decode().partition(":")
    except ValueError:
        problem = "holds a log-in that cannot be read"
        raise AiplatError(Finding(str(path), problem, "run `docker login` again")) from None
    return Credential(user, secret)


def _from_helper(helper: str, key: str) -> Credential | None:
    """Ask the program that keeps Docker's secrets; one that is not there or has nothing is not an answer."""
    try:
        done = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=key,
            capture_output=True,
            text=True,
            timeout=_HELPER_SECONDS,
            check=False,
        )
        said = parsed_json(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    said = said if isinstance(said, dict) else {}
    user, secret = said.get("Username", ""), said.get("Secret")
    if user == "<token>":
        problem = "keeps an identity token, which only Docker itself can use"
        raise AiplatError(Finding(f"docker-credential-{helper}", problem, _NAMED))
    return Credential(user, secret) if secret else None
