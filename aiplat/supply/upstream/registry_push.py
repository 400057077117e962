"""Puts blobs and manifests into an OCI registry, each once; which images that are is aiplat.bundle.push's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from aiplat.content import CHUNK, parsed_json
from aiplat.errors import AiplatError, Finding
from aiplat.supply.oci import Descriptor, blob_path
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.login import credential, token
from aiplat.supply.upstream.reach import Credential
from aiplat.supply.upstream.sentences import of_fault

Moved = Callable[[int], None]
_TRIES = 3
_AGAIN = "run the same command again: what is there is not sent again"
_PASSING = (408, 429, 500, 502, 503, 504)


class PushTarget:
    """One registry that takes images; `who` is who to be there, else what `docker login` left."""

    def __init__(self, http: HttpClient, host: str, who: Credential | None = None) -> None:
        self._http, self._host, self._who = http, host, who
        self._client = http.reach.client(httpx.Timeout(300, connect=15))
        self._tokens: dict[str, str] = {}
        self._has: dict[str, str] = {}

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def has_manifest(self, repository: str, reference: str, digest: str) -> bool:
        """Whether a tag, or a digest, stands for this manifest already.

        Raises:
            AiplatError: the registry does not say.
        """
        accept = ", ".join(
            f"application/vnd.{kind}+json"
            for kind in (
                "oci.image.manifest.v1",
                "oci.image.index.v1",
                "docker.distribution.manifest.v2",
                "docker.distribution.manifest.list.v2",
            )
        )
        answer = self._asked("HEAD", repository, f"manifests/{reference}", {200, 404}, Accept=accept)
        return answer.status_code == 200 and answer.headers.get("Docker-Content-Digest") == digest

    def put_blob(self, repository: str, layout: Path, blob: Descriptor, moved: Moved) -> bool:
        """Bring a blob into a repository; False if it, or another repository that was pushed to, had it.

        Raises:
            AiplatError: the registry does not take it.
        """
        digest = blob["digest"]
        if self._asked("HEAD", repository, f"blobs/{digest}", {200, 404}).status_code == 200:
            self._has[digest] = repository
            moved(blob["size"])
            return False
        for attempt in range(1, _TRIES + 1):
            try:
                sent = self._upload(repository, layout, blob, moved)
            except _Broken as broken:
                moved(-broken.sent)
                if attempt == _TRIES:
                    raise AiplatError(broken.finding) from broken
            else:
                break
        self._has[digest] = repository
        return sent

    def put_manifest(self, repository: str, reference: str, body: bytes, media_type: str) -> None:
        """Store a manifest under a tag or digest.

        Raises:
            AiplatError: the registry does not take it.
        """
        headers = {"Content-Type": media_type}
        self._asked("PUT", repository, f"manifests/{reference}", {200, 201, 202}, content=body, **headers)

    def _upload(self, repository: str, layout: Path, blob: Descriptor, moved: Moved) -> bool:
        digest, there = blob["digest"], self._has.get(blob["digest"])
        mount = f"?mount={digest}&from={there}" if there else ""
        begun = self._asked("POST", repository, f"blobs/uploads/{mount}", {201, 202})
        if begun.status_code == 201:
            moved(blob["size"])
            return False
        place = urljoin(str(begun.url), begun.headers.get("Location", ""))
        if urlsplit(place).scheme != "https":
            problem = "leads out of TLS with its upload"
            raise AiplatError(Finding(self._host, problem, "let it answer with https addresses of its own"))
        mark = "&" if urlsplit(place).query else "?"
        counted = _Counted(blob_path(layout, digest), moved)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob["size"])}
        if urlsplit(place).netloc == urlsplit(str(begun.url)).netloc:
            headers |= self._headers(repository)
        try:
            answer = self._client.put(f"{place}{mark}digest={digest}", content=iter(counted), headers=headers)
        except httpx.HTTPError as error:
            found = of_fault(place, error, self._http.reach.proxy(place)).findings[0]
            raise _Broken(counted.sent, Finding(found.where, found.problem, _AGAIN)) from error
        if answer.status_code not in {201, 204}:
            self._tokens.pop(repository, None)
            raise _Broken(counted.sent, self._refused(repository, answer))
        return True

    def _asked(
        self, method: str, repository: str, path: str, good: set[int], content: bytes = b"", **headers: str
    ) -> httpx.Response:
        """Return the answer to a request, logged in if the registry wants that."""
        url = f"https://{self._host}/v2/{repository}/{path}"
        for attempt in range(1, _TRIES + 1):
            try:
                sent = {**headers, **self._headers(repository)}
                answer = self._client.request(method, url, content=content, headers=sent)
            except httpx.HTTPError as error:
                if attempt == _TRIES:
                    raise of_fault(url, error, self._http.reach.proxy(url)) from error
                continue
            if answer.status_code == 401 and attempt < _TRIES:
                self._log_in(repository, answer)
            elif answer.status_code in good:
                return answer
            elif answer.status_code not in _PASSING or attempt == _TRIES:
                break
        raise AiplatError(self._refused(repository, answer))

    def _log_in(self, repository: str, answer: httpx.Response) -> None:
        known = self._who or credential(self._http, self._host, self._host)
        challenge = answer.headers.get("WWW-Authenticate", "")
        name = f"{self._host}/{repository}"
        try:
            self._tokens[repository] = token(self._http, challenge, repository, known, name)
        except AiplatError:
            if known is None:
                raise AiplatError(self._refused(repository, answer)) from None
            raise

    def _headers(self, repository: str) -> dict[str, str]:
        known = self._tokens.get(repository)
        return {"Authorization": known} if known else {}

    def _refused(self, repository: str, answer: httpx.Response) -> Finding:
        where = f"{self._host}/{repository}"
        said = _said(answer)
        if answer.status_code in {401, 403}:
            fix = "name an account that may write with --credentials, or run `docker login`"
            return Finding(where, f"does not take this from this account ({answer.status_code}){said}", fix)
        return Finding(where, f"does not take this ({answer.status_code}){said}", _AGAIN)


class _Broken(Exception):
    """An upload that ended early."""

    def __init__(self, sent: int, finding: Finding) -> None:
        super().__init__(str(finding))
        self.sent, self.finding = sent, finding


class _Counted:
    """A file's content in pieces, and how much of it was taken."""

    def __init__(self, path: Path, moved: Moved) -> None:
        self._path, self._moved = path, moved
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as stream:
            while piece := stream.read(CHUNK):
                yield piece
                self.sent += len(piece)
                self._moved(len(piece))


def _said(answer: httpx.Response) -> str:
    """Return what a registry says of its refusal, on one line and not endless."""
    try:
        document: Any = parsed_json(answer.content)
        first = document["errors"][0]
        text = f"{first.get('code', '')} {first.get('message', '')}".strip()
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return ": " + "".join(c for c in text[:200] if c.isprintable()) if text else ""
