"""A Helm repository: index.yaml and the charts it names."""

from __future__ import annotations

import io

from ruamel.yaml import YAML

from aiplat.content import sha256_bytes
from tests.upstreams.exchange import NOT_FOUND, Reply, Request


class HelmRepository:
    """Serves charts below `prefix`; `index` is what index.yaml says and may be changed."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.index: dict[str, object] = {"apiVersion": "v1", "entries": {}}
        self.files: dict[str, bytes] = {}

    def publish(self, name: str, version: str, chart: bytes, url: str | None = None, **more: object) -> None:
        """Serve a packaged chart; `url` is how the index names it (by default relative), `more` overrides."""
        file = f"{name}-{version}.tgz"
        entry = {
            "apiVersion": "v2",
            "name": name,
            "version": version,
            "urls": [url or f"charts/{file}"],
            "digest": sha256_bytes(chart).removeprefix("sha256:"),
            "created": "2026-01-01T00:00:00Z",
            **more,
        }
        entries = self.index["entries"]
        assert isinstance(entries, dict)
        entries.setdefault(name, []).append(entry)
        self.files[f"{self.prefix}/charts/{file}"] = chart

    def __call__(self, request: Request) -> Reply:
        """Answer one request."""
        if request.path == f"{self.prefix}/index.yaml":
            text = io.BytesIO()
            YAML(typ="safe", pure=True).dump(self.index, text)
            return Reply(200, {"Content-Type": "text/yaml"}, text.getvalue())
        body = self.files.get(request.path)
        return Reply(200, {"Content-Type": "application/gzip"}, body) if body else NOT_FOUND
