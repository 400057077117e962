"""Ollama's registry: manifests, and blobs through a Location that leads to another host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiplat.content import canonical_json, sha256_bytes, sha256_file
from tests.upstreams.exchange import NOT_FOUND, Reply, Request

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
_MANIFEST = re.compile(r"/v2/(?P<name>[^/]+/[^/]+)/manifests/(?P<tag>[^/]+)")
_BLOB = re.compile(r"/v2/[^/]+/[^/]+/blobs/(?P<digest>sha256:[0-9a-f]{64})")


class OllamaRegistry:
    """Serves models under `namespace/name`; `host` is its own name."""

    store = "models.r2.example"

    def __init__(self, host: str) -> None:
        self.host = host
        self.manifests: dict[tuple[str, str], bytes] = {}
        self.blobs: dict[str, bytes | Path] = {}

    @property
    def hosts(self) -> tuple[str, str]:
        """The hosts it answers for."""
        return self.host, self.store

    def publish(
        self, name: str, tag: str, layers: Mapping[str, bytes | Path], config: Mapping[str, Any] | None = None
    ) -> str:
        """Serve a model; `layers` are contents by kind (`model`, …); return the manifest's digest."""
        body = canonical_json(config or {"model_format": "gguf", "model_family": "gemma3"})
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, **self._blob(body)},
            "layers": [
                {"mediaType": f"application/vnd.ollama.image.{kind}", **self._blob(content)}
                for kind, content in layers.items()
            ],
        }
        self.manifests[name, tag] = canonical_json(document)
        return sha256_bytes(self.manifests[name, tag])

    def publish_store(self, store: Path, name: str, tag: str) -> None:
        """Serve a model out of Ollama's own store (a folder with `manifests/` and `blobs/`)."""
        manifest = next((store / "manifests").glob(f"*/{name}/{tag}"))
        self.manifests[name, tag] = manifest.read_bytes()
        for path in (store / "blobs").iterdir():
            self.blobs[path.name.replace("-", ":", 1)] = path

    def _blob(self, content: bytes | Path) -> dict[str, Any]:
        digest = sha256_bytes(content) if isinstance(content, bytes) else sha256_file(content)
        self.blobs[digest] = content
        return {
            "digest": digest,
            "size": len(content) if isinstance(content, bytes) else content.stat().st_size,
        }

    def __call__(self, request: Request) -> Reply:
        """Answer one request to either host."""
        if request.host == self.store:
            body = self.blobs.get(request.path.removeprefix("/"))
            return (
                Reply(200, {"Content-Type": "application/octet-stream"}, body)
                if body is not None
                else NOT_FOUND
            )
        manifest, blob = _MANIFEST.fullmatch(request.path), _BLOB.fullmatch(request.path)
        if manifest:
            found = self.manifests.get((manifest["name"], manifest["tag"]))
            if found is None:
                return Reply.json(
                    {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}, 404
                )
            return Reply(200, {"Content-Type": "text/plain; charset=utf-8"}, found)
        if blob and blob["digest"] in self.blobs:
            return Reply.redirect(f"https://{self.store}/{blob['digest']}", 307)
        return NOT_FOUND
