"""Asks OCI and Docker registries for manifests and blobs; what an image needs of them is images'."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiplat.catalog.artifacts import Blob, Digest
from aiplat.content import parsed_json, sha256_bytes, write_atomic
from aiplat.errors import AiplatError, Finding
from aiplat.supply.oci import INDEX, MANIFEST, Descriptor
from aiplat.supply.upstream.http import HttpClient, HttpResponse
from aiplat.supply.upstream.login import credential, token
from aiplat.supply.upstream.partial import OnBytes
from aiplat.supply.upstream.references import DOCKER_HUB, Reference
from aiplat.supply.upstream.sentences import HttpFailed, host_of
from aiplat.supply.upstream.shapes import see_manifest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
INDEXES = (INDEX, DOCKER_LIST)
MANIFESTS = (MANIFEST, DOCKER_MANIFEST)
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# What the specification lets a manifest have at most.
_LIMIT = 4 << 20


@dataclass(frozen=True)
class Manifest:
    """A manifest or index as a registry gave it: `body` is what `digest` is of."""

    body: bytes
    media_type: str
    digest: Digest
    document: dict[str, Any]

    @property
    def is_index(self) -> bool:
        """Whether it names further manifests."""
        return self.media_type in INDEXES

    @property
    def descriptor(self) -> Descriptor:
        """How an index names it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.body)}

    @property
    def blob(self) -> Blob:
        """Digest and size."""
        return Blob(digest=self.digest, size=len(self.body))


class Registry:
    """One registry host; it keeps the tokens it got, by repository. Safe to use from several threads.

    `kept` is a folder for manifests by digest: registries count how often they are asked for one.
    """

    def __init__(self, http: HttpClient, host: str, kept: Path | None = None) -> None:
        self.http = http
        self.host = host
        self._kept = kept
        self._answering = "registry-1.docker.io" if host == DOCKER_HUB else host
        self._tokens: dict[str, str] = {}
        self._lock = threading.Lock()

    def manifest(
        self, reference: Reference, media_types: tuple[str, ...] = (*INDEXES, *MANIFESTS)
    ) -> Manifest:
        """Return the manifest that a name stands for; by digest it is just that or nothing.

        Raises:
            AiplatError: it cannot be had, is none, or is not what its digest says.
        """
        kept = self._kept_manifest(reference)
        if kept is not None:
            return kept
        path = f"manifests/{reference.wanted}"
        answer = self._get(reference, path, {"Accept": ", ".join(media_types)})
        said = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        found = read_manifest(reference, answer.body, said, answer.headers.get("Docker-Content-Digest"))
        if self._kept is not None:
            write_atomic(self._kept / found.digest.removeprefix("sha256:"), found.body)
        return found

    def _kept_manifest(self, reference: Reference) -> Manifest | None:
        """Return a manifest that was asked for before; only by its digest it is sure to be the same."""
        if self._kept is None or reference.digest is None:
            return None
        try:
            body = (self._kept / reference.digest.removeprefix("sha256:")).read_bytes()
            return read_manifest(reference, body, "", None)
        except (OSError, AiplatError):
            return None

    def config(self, reference: Reference, blob: Blob) -> dict[str, Any]:
        """Return a small blob that is a JSON object.

        Raises:
            AiplatError: it cannot be had, or is not what its digest says.
        """
        body = self.small(reference, blob)
        try:
            document = parsed_json(body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise AiplatError(
                Finding(reference.tagged, f"its config {blob.digest} is not a JSON object", "ask its maker")
            )
        return document

    def small(self, reference: Reference, blob: Blob, limit: int = _LIMIT) -> bytes:
        """Return the content of a blob of at most `limit` bytes.

        Raises:
            AiplatError: it cannot be had, or is not what its digest says.
        """
        body = self._get(reference, f"blobs/{blob.digest}", {}, limit).body
        found = sha256_bytes(body)
        if found != blob.digest:
            raise AiplatError(_exchanged(reference, f"blob {blob.digest}", found))
        return body

    def download(self, reference: Reference, blob: Blob, target: Path, told: OnBytes) -> None:
        """Bring a blob to a file, going on with what is there.

        Raises:
            AiplatError: it cannot be had, or is not what its digest says.
        """
        url = self._url(reference, f"blobs/{blob.digest}")

        def once() -> None:
            headers = self._headers(reference.repository)
            wanted = {"digest": blob.digest, "size": blob.size}
            self.http.download(url, target, headers=headers, on_bytes=told, **wanted)  # type: ignore[arg-type]

        try:
            try:
                once()
            except HttpFailed as error:
                if error.status != 401:
                    raise
                # The token was handed out minutes ago, or never asked for: a small request gets a new one.
                self._forget(reference.repository)
                self._get(
                    reference, f"manifests/{reference.wanted}", {"Accept": ", ".join((*INDEXES, *MANIFESTS))}
                )
                once()
        except HttpFailed as error:
            raise self._named(reference, f"its {_short(blob.digest)}", error) from error

    def _get(
        self, reference: Reference, path: str, headers: dict[str, str], limit: int = _LIMIT
    ) -> HttpResponse:
        """Return the answer to a request, with a token if it wants one."""
        url = self._url(reference, path)
        what = "" if path.startswith("manifests/") else f"its {_short(path.removeprefix('blobs/'))}"
        try:
            answer = self._asked(url, reference, headers, limit)
            if answer.status == 401:
                self._log_in(reference, answer)
                answer = self._asked(url, reference, headers, limit)
        except HttpFailed as error:
            raise self._named(reference, what, error) from error
        if answer.status == 401:
            raise AiplatError(self._refused(reference))
        return answer

    def _asked(self, url: str, reference: Reference, headers: dict[str, str], limit: int) -> HttpResponse:
        sent = {**headers, **self._headers(reference.repository)}
        return self.http.get(url, headers=sent, limit=limit, allow={401})

    def _log_in(self, reference: Reference, answer: HttpResponse) -> None:
        asked = host_of(answer.url)
        mirrored = asked != self._answering
        known = credential(self.http, asked if mirrored else self.host, asked)
        challenge = answer.headers.get("WWW-Authenticate", "")
        header = token(self.http, challenge, reference.repository, known, reference.name)
        with self._lock:
            self._tokens[reference.repository] = header

    def _headers(self, repository: str) -> dict[str, str]:
        with self._lock:
            known = self._tokens.get(repository)
        return {"Authorization": known or ""}

    def _forget(self, repository: str) -> None:
        with self._lock:
            self._tokens.pop(repository, None)

    def _url(self, reference: Reference, path: str) -> str:
        return f"https://{self._answering}/v2/{reference.repository}/{path}"

    def _named(self, reference: Reference, what: str, error: HttpFailed) -> AiplatError:
        """Return a failure with the image's name in front, as whoever wrote the name knows it."""
        if error.status == 404 and not self.http.reach.mirrored(self._url(reference, "")):
            problem = f"{what} is not there (404)".strip()
            fix = f"see which there are: skopeo list-tags docker://{reference.name}"
            return AiplatError(Finding(reference.tagged, problem, fix))
        part = f"{what} from " if what else ""
        said = [(f"{part}{_by(found)}", found.fix) for found in error.findings]
        return AiplatError([Finding(reference.tagged, *one) for one in said])

    def _refused(self, reference: Reference) -> Finding:
        problem = "is not there, or only for accounts that may read it (401)"
        give = f"name credentials under upstream.credentials.{self.host} in site.yaml"
        fix = f"see the spelling; for a private one {give}"
        return Finding(reference.tagged, problem, fix)


def read_manifest(reference: Reference, body: bytes, said: str, announced: str | None) -> Manifest:
    """Return what a registry gave for a name, once it is sure that it is that.

    Raises:
        AiplatError: it is something else.
    """
    found = sha256_bytes(body)
    wanted = reference.digest or announced
    if wanted and wanted != found:
        raise AiplatError(_exchanged(reference, f"manifest {wanted}", found))
    try:
        document = parsed_json(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        kind = said or "no media type"
        problem = f"the registry answers with something that is not a manifest ({kind})"
        raise AiplatError(
            Finding(reference.tagged, problem, "see whether a proxy or log-in page answers instead")
        )
    see_manifest(reference.tagged, document)
    media_type = str(document.get("mediaType") or said)
    if media_type.startswith(_SCHEMA_1) or document.get("schemaVersion") == 1:
        problem = "is kept in Docker's first format, which no runtime takes any more"
        raise AiplatError(
            Finding(reference.tagged, problem, "use a newer version, or push it again with skopeo")
        )
    if media_type not in (*INDEXES, *MANIFESTS):
        raise AiplatError(
            Finding(
                reference.tagged, f"is not an image but {media_type or 'something unknown'}", "see the name"
            )
        )
    if said in (*INDEXES, *MANIFESTS) and said != media_type:
        problem = f"says it is {media_type}, but its registry says {said}"
        raise AiplatError(Finding(reference.tagged, problem, "ask the registry's operator: do not use it"))
    return Manifest(body, media_type, found, document)


def blob_of(where: str, descriptor: Mapping[str, Any]) -> Blob:
    """Return digest and size of what a manifest names; a digest becomes a file's name, so that it is checked.

    Raises:
        AiplatError: it has none that are usable.
    """
    digest, size = descriptor.get("digest"), descriptor.get("size")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        problem = f"names something by {str(digest)[:80]!r}, which is not a sha256 digest"
        raise AiplatError(Finding(where, problem, "ask its maker"))
    if not isinstance(size, int) or size < 0:
        raise AiplatError(Finding(where, f"does not say how large {digest} is", "ask its maker"))
    return Blob(digest=digest, size=size)


def _by(found: Finding) -> str:
    """Return a problem with the host that has it in front, once."""
    host = host_of(found.where)
    named = host in found.problem.partition(" ")[0] or found.problem.endswith(f"for {host}")
    return found.problem if named else f"{host} {found.problem}"


def _short(digest: str) -> str:
    return f"blob {digest[:19]}"


def _exchanged(reference: Reference, what: str, found: Digest) -> Finding:
    problem = f"asked for {what}, got {found}"
    return Finding(
        reference.tagged, problem, "it was exchanged or damaged: do not use it; see what stands in between"
    )
