"""How an upstream host is reached: mirrors, proxies, CA, credentials; asking it is http's."""

from __future__ import annotations

import os
import ssl
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies_environment, proxy_bypass

import httpx
import keyring
from keyring.errors import KeyringError

from aiplat.errors import BadInput, Finding
from aiplat.site.models import Upstream
from aiplat.state import expanded

# Names under which people know a host, and the one that answers.
ANSWERING = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


@dataclass(frozen=True)
class Credential:
    """Who asks a host: with a user it is sent as Basic, without one the secret is a bearer token."""

    user: str
    secret: str

    @property
    def header(self) -> str:
        """The value of an Authorization header."""
        if not self.user:
            return f"Bearer {self.secret}"
        return "Basic " + b64encode(f"{self.user}:{self.secret}".encode()).decode()

    def __repr__(self) -> str:
        """Say who it is, never the secret."""
        return f"Credential(user={self.user!r})"


class Reach:
    """What site.yaml says about the way to upstream hosts."""

    def __init__(self, upstream: Upstream | None = None) -> None:
        self.upstream = upstream or Upstream()
        self._mirrors = {ANSWERING.get(host, host): url for host, url in self.upstream.mirrors.items()}

    def address(self, url: str) -> str:
        """Return where a request for `url` really goes: to the host's mirror, if it has one."""
        parts = urlsplit(url)
        mirror = self._mirrors.get(ANSWERING.get(parts.netloc, parts.netloc))
        if mirror is None:
            return url
        at = urlsplit(mirror)
        prefix, path = at.path.rstrip("/"), parts.path
        if path.startswith("/v2/"):
            # A registry's own root comes first; products that mirror registries name the mirror behind it.
            return urlunsplit(
                (at.scheme, at.netloc, f"/v2{prefix}/{path.removeprefix('/v2/')}", parts.query, "")
            )
        return urlunsplit((at.scheme, at.netloc, prefix + path, parts.query, ""))

    def mirrored(self, url: str) -> bool:
        """Whether a request for `url` goes to a mirror."""
        return self.address(url) != url

    def credential(self, host: str) -> Credential | None:
        """Return who to be for a host (with its port, if it is not the usual one), or None.

        Raises:
            BadInput: site.yaml names a variable or a keyring's entry that is not there.
        """
        asked = self.upstream.credentials.get(host)
        if asked is None:
            return None
        where = f"upstream.credentials.{host}"
        if asked.env:
            secret = os.environ.get(asked.env, "")
            fix = f"export {asked.env}=… before you run aiplat"
            problem = f"the environment has no {asked.env}"
        else:
            secret = _from_keyring(str(asked.keyring), asked.user, where)
            problem = f"the keyring has no entry {asked.keyring} for the user {asked.user or host}"
            fix = f"store it: keyring set {asked.keyring} {asked.user or host}"
        if not secret:
            raise BadInput(Finding(where, problem, fix))
        return Credential(asked.user, secret)

    def proxy(self, url: str) -> str:
        """Return the host of the proxy that stands between here and `url`; empty if none does."""
        host = urlsplit(url).hostname or ""
        if self.upstream.proxy is not None:
            direct = any(host.endswith(name.lstrip(".")) for name in self.upstream.no_proxy)
            return "" if direct else urlsplit(self.upstream.proxy).netloc.rpartition("@")[2]
        said = getproxies_environment()
        if proxy_bypass(host):
            return ""
        return urlsplit(said.get(urlsplit(url).scheme) or said.get("all") or "").netloc.rpartition("@")[2]

    def client(self, timeout: httpx.Timeout) -> httpx.Client:
        """Return a client that goes this way; it follows no redirect by itself.

        Raises:
            BadInput: the file with the CA cannot be read.
        """
        context = self._trust()
        mounts = self._proxies(context)
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=16)
        return httpx.Client(
            verify=context,
            mounts=mounts,
            timeout=timeout,
            limits=limits,
            follow_redirects=False,
            trust_env=mounts is None,
        )

    def _trust(self) -> ssl.SSLContext:
        context = httpx.create_ssl_context()
        context.load_default_certs()
        if self.upstream.ca:
            path = expanded(self.upstream.ca)
            try:
                context.load_verify_locations(cafile=path)
            except (OSError, ssl.SSLError) as error:
                said = getattr(error, "strerror", None) or "nothing in it is one"
                problem = f"{path} is not a file with certificates: {said}"
                raise BadInput(Finding("upstream.ca", problem, "name a PEM file")) from None
        return context

    def _proxies(self, context: ssl.SSLContext) -> dict[str, httpx.BaseTransport | None] | None:
        """Return transports for the proxy of site.yaml; None leaves it to the environment."""
        if self.upstream.proxy is None:
            return None
        asked = self.credential(urlsplit(self.upstream.proxy).netloc)
        proxy = httpx.Proxy(self.upstream.proxy, auth=(asked.user, asked.secret) if asked else None)
        direct: dict[str, httpx.BaseTransport | None] = {
            f"all://{host.lstrip('.')}": None for host in self.upstream.no_proxy
        }
        return {"all://": httpx.HTTPTransport(verify=context, proxy=proxy), **direct}


def _from_keyring(service: str, user: str, where: str) -> str:
    try:
        return keyring.get_password(service, user or where.rpartition(".")[2]) or ""
    except KeyringError as error:
        raise BadInput(
            Finding(where, f"the keyring does not open: {error}", "name a variable under `env` instead")
        ) from None
