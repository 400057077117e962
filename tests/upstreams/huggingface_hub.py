"""The Hugging Face hub: model info, file tree, and files, large ones through another host."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from tests.upstreams.exchange import NOT_FOUND, Reply, Request

_INFO = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?")
_TREE = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)(?:/.*)?")
_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_LARGE = (".safetensors", ".gguf", ".bin", ".pt", ".pkl")


class HuggingFaceHub:
    """Serves repositories of one commit each; files that are usually large are stored as LFS.

    `gated` are repositories that need the token in `tokens`; one that is in `refused` is not for it either.
    """

    store = "cas-bridge.xethub.hf.co"

    def __init__(self, host: str) -> None:
        self.host = host
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.refused: set[str] = set()
        self.tokens: set[str] = set()

    @property
    def hosts(self) -> tuple[str, str]:
        """The hosts it answers for."""
        return self.host, self.store

    def publish(self, repository: str, files: Mapping[str, bytes]) -> str:
        """Serve a repository's files; return its commit."""
        self.repositories[repository] = dict(files)
        return self.commit(repository)

    def commit(self, repository: str) -> str:
        """Return the commit that `main` of a repository is at: it depends on all files."""
        files = sorted(self.repositories[repository].items())
        return hashlib.sha1(repr(files).encode(), usedforsecurity=False).hexdigest()

    def __call__(self, request: Request) -> Reply:
        """Answer one request to either host."""
        if request.host == self.store:
            return self._stored(request)
        for pattern, serve in ((_TREE, self._tree), (_INFO, self._info), (_FILE, self._file)):
            found = pattern.fullmatch(request.path)
            if found:
                return self._refusal(request, found) or serve(found)
        return NOT_FOUND

    def _refusal(self, request: Request, found: re.Match[str]) -> Reply | None:
        repository, revision = found["repo"], found["revision"] or "main"
        if repository not in self.repositories:
            return _error(401, None, "Invalid username or password.")
        if revision not in ("main", self.commit(repository)):
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if repository not in self.gated or found.re is _INFO:
            return None
        said = request.headers.get("authorization", "").removeprefix("Bearer ")
        if said not in self.tokens:
            return _error(401, "GatedRepo", f"Access to model {repository} is restricted.")
        if repository in self.refused:
            return _error(403, "GatedRepo", f"You are not in the authorized list of {repository}.")
        return None

    def _info(self, found: re.Match[str]) -> Reply:
        repository = found["repo"]
        siblings = [{"rfilename": name, **_entry(name, data)} for name, data in self._sorted(repository)]
        gated = "manual" if repository in self.gated else False
        more = {"gated": gated, "private": False, "tags": [], "downloads": 1, "likes": 0}
        return Reply.json(
            {
                "id": repository,
                "modelId": repository,
                "sha": self.commit(repository),
                "siblings": siblings,
                **more,
            }
        )

    def _tree(self, found: re.Match[str]) -> Reply:
        return Reply.json(
            [
                {"type": "file", "path": name, **_tree_entry(name, data)}
                for name, data in self._sorted(found["repo"])
            ]
        )

    def _file(self, found: re.Match[str]) -> Reply:
        data = self.repositories[found["repo"]].get(found["file"])
        commit = {"X-Repo-Commit": self.commit(found["repo"])}
        if data is None:
            return _error(404, "EntryNotFound", "Entry not found").but(
                headers={"X-Error-Code": "EntryNotFound", **commit}
            )
        if not found["file"].endswith(_LARGE):
            return Reply(200, {"ETag": f'"{_git_id(data)}"', **commit}, data)
        digest = hashlib.sha256(data).hexdigest()
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
        location = f"https://{self.store}/{found['repo']}/{digest}?X-Signature=made"
        return Reply(302, {"Location": location, **linked, **commit})

    def _stored(self, request: Request) -> Reply:
        wanted = request.path.rpartition("/")[2]
        for files in self.repositories.values():
            for data in files.values():
                if hashlib.sha256(data).hexdigest() == wanted:
                    return Reply(200, {"ETag": f'"{wanted}"'}, data)
        return NOT_FOUND

    def _sorted(self, repository: str) -> list[tuple[str, bytes]]:
        return sorted(self.repositories[repository].items())


def _git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _entry(name: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"size": len(data), "blobId": _git_id(data)}
    if name.endswith(_LARGE):
        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry


def _tree_entry(name: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"size": len(data), "oid": _git_id(data)}
    if name.endswith(_LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry


def _error(status: int, code: str | None, message: str) -> Reply:
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return Reply.json({"error": message}, status).but(headers={"Content-Type": "application/json", **headers})
