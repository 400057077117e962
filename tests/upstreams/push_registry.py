"""An OCI registry that takes images of whoever may write, and refuses manifests without their content."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field

from aiplat.content import sha256_bytes
from tests.upstreams.exchange import NOT_FOUND, Reply, Request

_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<rest>.*)")


@dataclass
class PushRegistry:
    """What was pushed; `login` (user, password) is who may do anything here."""

    host: str
    login: tuple[str, str] | None = None
    blobs: dict[str, dict[str, bytes]] = field(default_factory=dict)
    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    uploads: int = 0

    def __call__(self, request: Request) -> Reply:
        """Answer one request."""
        wanted = base64.b64encode(":".join(self.login or ()).encode()).decode()
        if self.login and request.headers.get("authorization") != f"Basic {wanted}":
            return _error(401, "UNAUTHORIZED").but(headers={"Www-Authenticate": 'Basic realm="r"'})
        found = _PATH.fullmatch(request.path)
        if found is None:
            return NOT_FOUND
        name, rest = found["name"], found["rest"]
        if found["kind"] == "manifests":
            return self._manifest(request, name, rest)
        if rest.startswith("uploads"):
            return self._upload(request, name)
        there = rest in self.blobs.get(name, {})
        return Reply(200) if there else _error(404, "BLOB_UNKNOWN")

    def _upload(self, request: Request, name: str) -> Reply:
        place = f"https://{self.host}/v2/{name}/blobs/uploads/1?state=x"
        held = self.blobs.setdefault(name, {})
        digest = request.query.get("mount") or request.query.get("digest", "")
        if request.method == "POST":
            other = self.blobs.get(request.query.get("from", ""), {})
            if digest in other:
                held[digest] = other[digest]
                return Reply(201, {"Location": f"/v2/{name}/blobs/{digest}"})
            return Reply(202, {"Location": place})
        if sha256_bytes(request.body) != digest:
            return _error(400, "DIGEST_INVALID")
        self.uploads += 1
        held[digest] = request.body
        return Reply(201, {"Location": f"/v2/{name}/blobs/{digest}"})

    def _manifest(self, request: Request, name: str, reference: str) -> Reply:
        if request.method == "PUT":
            document = json.loads(request.body)
            named = [*document.get("layers", ()), *([document["config"]] if "config" in document else [])]
            lacking = [one for one in named if one["digest"] not in self.blobs.get(name, {})]
            lacking += [m for m in document.get("manifests", ()) if (name, m["digest"]) not in self.manifests]
            if lacking:
                return _error(404, "MANIFEST_BLOB_UNKNOWN")
            digest = sha256_bytes(request.body)
            self.manifests[name, reference] = self.manifests[name, digest] = request.body
            return Reply(201)
        body = self.manifests.get((name, reference))
        if body is None:
            return _error(404, "MANIFEST_UNKNOWN")
        return Reply(200, {"Docker-Content-Digest": sha256_bytes(body)})


def _error(status: int, code: str) -> Reply:
    return Reply.json({"errors": [{"code": code, "message": code.lower()}]}, status)
