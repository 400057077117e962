"""An OCI registry that serves image layouts, with or without log-in, as Docker Hub and others do."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any, Literal

from aiplat.content import canonical_json, sha256_bytes
from tests.upstreams.exchange import NOT_FOUND, Reply, Request

Access = Literal["open", "token", "basic"]
_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")
_BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>sha256:[0-9a-f]{64})")
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry:
    """Serves what was pushed.

    `token_host` hands out tokens (None: `access` decides), `blob_host` is where blobs really are.
    `login` (user, password) is what `access` wants; None lets anybody have a token. `namespaces` are
    repositories that need the log-in; None means all.
    """

    def __init__(
        self,
        host: str,
        *,
        access: Access | None = None,
        token_host: str | None = None,
        blob_host: str | None = None,
        login: tuple[str, str] | None = None,
        prefix: str = "",
    ) -> None:
        self.host, self.token_host, self.blob_host = host, token_host, blob_host
        self.access: Access = access or ("token" if token_host else "open")
        self.login, self.prefix = login, prefix
        self.tags: dict[tuple[str, str], str] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes | Path] = {}
        self.repositories: set[str] = set()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts it answers for."""
        return tuple(h for h in (self.host, self.token_host, self.blob_host) if h)

    def push(self, repository: str, tag: str, layout: Path, digest: str | None = None) -> str:
        """Serve an image of an OCI layout folder, by default the one in its index.json; return its digest.

        What an index names but the layout does not have is not served.
        """
        if digest is None:
            digest = str(json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"])
        self._manifest(repository, layout, digest)
        self.tags[repository, tag] = digest
        self.repositories.add(repository)
        return digest

    def push_manifest(self, repository: str, tag: str, document: Any, media_type: str = _OCI_MANIFEST) -> str:
        """Serve a manifest that is a document; return its digest."""
        body = document if isinstance(document, bytes) else canonical_json(document)
        digest = sha256_bytes(body)
        self.manifests[repository, digest] = (media_type, body)
        self.tags[repository, tag] = digest
        self.repositories.add(repository)
        return digest

    def push_blob(self, content: bytes | Path, digest: str | None = None) -> str:
        """Serve a blob; return its digest."""
        if digest is None:
            assert isinstance(content, bytes)
            digest = sha256_bytes(content)
        self.blobs[digest] = content
        return digest

    def _manifest(self, repository: str, layout: Path, digest: str) -> None:
        path = layout / "blobs/sha256" / digest.removeprefix("sha256:")
        if not path.is_file():
            return
        body = path.read_bytes()
        document = json.loads(body)
        self.manifests[repository, digest] = (document.get("mediaType", _OCI_MANIFEST), body)
        for child in document.get("manifests", ()):
            self._manifest(repository, layout, child["digest"])
        layers = [*document.get("layers", ()), *([document["config"]] if "config" in document else [])]
        for layer in layers:
            self.blobs[layer["digest"]] = layout / "blobs/sha256" / layer["digest"].removeprefix("sha256:")

    def __call__(self, request: Request) -> Reply:
        """Answer one request to any of its hosts."""
        if request.host == self.token_host:
            return self._token(request)
        if request.host == self.blob_host:
            return self._stored(request)
        path = request.path.removeprefix(self.prefix)
        if request.host.startswith("mirror/"):
            return self._read(path, stored_here=True)
        if self.access == "token" and request.path == "/token" and self.token_host is None:
            return self._token(request)
        refused = self._refused(request, path)
        if refused:
            return refused
        return self._read(path, stored_here=self.blob_host is None)

    def _read(self, path: str, *, stored_here: bool) -> Reply:
        """Return what is at a path for somebody who may read it."""
        if path == "/v2/":
            return Reply.json({})
        manifest, blob = _MANIFEST.fullmatch(path), _BLOB.fullmatch(path)
        if manifest:
            return self._serve_manifest(manifest["name"], manifest["reference"])
        if blob is None:
            return NOT_FOUND
        if stored_here or blob["digest"] not in self.blobs:
            return self._blob(blob["digest"])
        return Reply.redirect(f"https://{self.blob_host}/data/{blob['digest']}?Signature=made", 307)

    def _serve_manifest(self, name: str, reference: str) -> Reply:
        digest = self.tags.get((name, reference), reference)
        found = self.manifests.get((name, digest))
        if found is None:
            return _error(404, "MANIFEST_UNKNOWN" if name in self.repositories else "NAME_UNKNOWN")
        media_type, body = found
        return Reply(200, {"Content-Type": media_type, "Docker-Content-Digest": digest}, body)

    def _stored(self, request: Request) -> Reply:
        # A signed address does not want another's credentials: real stores answer 400 to them.
        if "authorization" in request.headers:
            return Reply(400, {"Content-Type": "application/xml"}, b"<Error>InvalidRequest</Error>")
        return self._blob(request.path.rpartition("/")[2])

    def _blob(self, digest: str) -> Reply:
        body = self.blobs.get(digest)
        if body is None or (isinstance(body, Path) and not body.is_file()):
            return _error(404, "BLOB_UNKNOWN")
        return Reply(200, {"Content-Type": "application/octet-stream"}, body)

    def _refused(self, request: Request, path: str) -> Reply | None:
        """Return the answer to who did not say who they are; None: go on."""
        if self.access == "open":
            return None
        said = request.headers.get("authorization", "")
        if self.access == "basic":
            return None if said == self._basic() else _challenge(f'Basic realm="{self.host}"')
        found = _MANIFEST.fullmatch(path) or _BLOB.fullmatch(path)
        name = found["name"] if found else ""
        if said == f"Bearer {_token_for(name)}":
            return None
        realm = f"https://{self.token_host}/token" if self.token_host else f"https://{self.host}/token"
        scope = f'Bearer realm="{realm}",service="{self.host}",scope="repository:{name}:pull"'
        return _challenge(scope)

    def _token(self, request: Request) -> Reply:
        said = request.headers.get("authorization")
        if (said or self.login) and said != self._basic():
            return Reply.json({"details": "incorrect username or password"}, 401)
        name = request.query.get("scope", "repository::pull").split(":")[1]
        return Reply.json({"token": _token_for(name), "expires_in": 300})

    def _basic(self) -> str | None:
        if self.login is None:
            return None
        return "Basic " + base64.b64encode(":".join(self.login).encode()).decode()


def _token_for(name: str) -> str:
    return "token-for-" + sha256_bytes(name.encode())[7:19]


def _challenge(header: str) -> Reply:
    return _error(401, "UNAUTHORIZED").but(headers={"Www-Authenticate": header})


def _error(status: int, code: str) -> Reply:
    return Reply.json({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}, status)
