"""Release files: by path as at get.helm.sh, and as GitHub serves them, through another host."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from tests.upstreams.exchange import NOT_FOUND, Reply, Request


class Files:
    """Serves files by their path."""

    def __init__(self, files: Mapping[str, bytes | Path]) -> None:
        self.files = dict(files)

    def __call__(self, request: Request) -> Reply:
        """Answer one request."""
        body = self.files.get(unquote(request.path))
        if body is None:
            return NOT_FOUND
        return Reply(200, {"Content-Type": "application/octet-stream"}, body)


class GitHub:
    """Serves `/<owner>/<name>/releases/download/<tag>/<file>` by sending to a signed address elsewhere."""

    host = "github.com"
    store = "release-assets.githubusercontent.com"

    def __init__(self) -> None:
        self.files: dict[str, bytes | Path] = {}

    @property
    def hosts(self) -> tuple[str, str]:
        """The hosts it answers for."""
        return self.host, self.store

    def release(self, repository: str, tag: str, files: Mapping[str, bytes | Path]) -> None:
        """Publish a release; `tag` as people write it, with its `+`."""
        for name, content in files.items():
            self.files[f"/{repository}/releases/download/{tag}/{name}"] = content

    def __call__(self, request: Request) -> Reply:
        """Answer one request to either host."""
        path = unquote(request.path)
        if request.host == self.store:
            body = next((self.files[p] for p in self.files if _signed(p) == request.target), None)
            return Reply(200, {"Content-Type": "application/octet-stream"}, body) if body else NOT_FOUND
        if path not in self.files:
            return NOT_FOUND
        return Reply.redirect(f"https://{self.store}{_signed(path)}")


def _signed(path: str) -> str:
    name = hashlib.sha256(path.encode()).hexdigest()
    return f"/github-production-release-asset/{name[:9]}?sig={name[9:30]}"
