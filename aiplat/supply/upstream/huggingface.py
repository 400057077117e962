"""Models of the Hugging Face hub at one commit, as an image; which files those are is snapshot's."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiplat.catalog.artifacts import Blob, Digest
from aiplat.catalog.upstream_recipes import HuggingFaceModel, UpstreamKind
from aiplat.content import digest_of, parsed_json, sha256_bytes
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.supply.contract import Made
from aiplat.supply.oci import VERSION
from aiplat.supply.snapshots import config_findings
from aiplat.supply.upstream.downloads import Downloads, Part, exchanged
from aiplat.supply.upstream.fetcher import FetchOrder, Pin
from aiplat.supply.upstream.http import HttpClient, HttpResponse
from aiplat.supply.upstream.registry import blob_of
from aiplat.supply.upstream.sentences import host_of
from aiplat.supply.upstream.snapshot import SHARDS, chosen, listing, missing_shards, objections
from aiplat.supply.upstream.weights import ModelImage

_HUB = "https://huggingface.co"
_SMALL = 32 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class _Snapshot:
    """The files of one commit that are taken, with what each must be."""

    repository: str
    commit: str
    files: Mapping[str, Blob]

    @property
    def digest(self) -> Digest:
        return digest_of([self.commit, listing({n: (b.digest, b.size) for n, b in self.files.items()})])

    @property
    def source(self) -> str:
        return f"{endpoint()}/{self.repository}@{self.commit}"


class HuggingFaceModels:
    """Snapshots as vLLM reads them, and single GGUF files."""

    def pin(self, order: FetchOrder) -> Pin:
        """Ask which files a revision has; only those that the hub keeps no digest of are fetched.

        Raises:
            AiplatError: it is not there, not for this account, or has nothing that is safe to load.
        """
        order.phase("ask for the model", 0, 0)
        found = _look(order, _recipe(order).revision)
        size = sum(blob.size for blob in found.files.values())
        return Pin(digest=found.digest, source=found.source, size=size)

    def fetch(self, order: FetchOrder, pin: Pin, folder: Path) -> Made:
        """Fetch the files that were pinned; the image's root is the snapshot's folder, or has `model.gguf`.

        Raises:
            AiplatError: they cannot be had, or are others by now.
        """
        found = _look(order, pin.source.rpartition("@")[2])
        if found.digest != pin.digest:
            raise exchanged(pin.source, pin.digest, found.digest)
        parts = [_part(order.http, found, name) for name in found.files]
        downloads = Downloads(order)
        downloads.bring(parts)
        order.phase("make the image", 0, 0)
        image = ModelImage(folder, order.work)
        for name, blob in found.files.items():
            image.add(_stored(name, found.files), downloads.path(blob.digest))
        labels = {
            "dev.aiplat.supply": "upstream",
            VERSION: order.artifact.version,
            "dev.aiplat.model": UpstreamKind.HUGGINGFACE.value,
            "org.opencontainers.image.source": f"{_HUB}/{found.repository}",
            "org.opencontainers.image.revision": found.commit,
        }
        made = image.finish(labels, pin.platforms or order.platforms)
        downloads.forget(found.files.values())
        return made


def _recipe(order: FetchOrder) -> HuggingFaceModel:
    assert order.recipe.huggingface is not None  # noqa: S101 - the supply asks by the recipe's kind
    return order.recipe.huggingface


def endpoint() -> str:
    """Return the address of the hub, or of the mirror that its own tools would ask."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or _HUB


def _stored(name: str, files: Mapping[str, Blob]) -> str:
    """Return the name of a file in the image: one GGUF alone is where engines look for it."""
    ggufs = [file for file in files if file.endswith(".gguf")]
    return "model.gguf" if ggufs == [name] else name


def _headers(http: HttpClient) -> dict[str, str]:
    """Return who asks: what site.yaml says for the hub, or else the token its own tools use."""
    from huggingface_hub import get_token  # noqa: PLC0415 - a second of imports, for few sites

    known, token = http.credential(host_of(endpoint())), get_token()
    if known:
        return {"Authorization": known.header}
    return {"Authorization": f"Bearer {token}"} if token else {}


def _look(order: FetchOrder, revision: str) -> _Snapshot:
    recipe = _recipe(order)
    where = f"{recipe.repository}@{revision[:12]}"
    commit, names = _listed(order.http, recipe.repository, revision, where)
    patterns = [order.filled(pattern) for pattern in recipe.files]
    taken = chosen(names, patterns)
    findings = objections(where, sorted(names), taken, patterns)
    if findings:
        raise AiplatError(findings)
    found = _Snapshot(recipe.repository, commit, {})
    files: dict[str, Blob] = {}
    for name in taken:
        files[name], body = _blob(order.http, found, name, names[name], where)
        if name.endswith(SHARDS):
            findings += missing_shards(where, body or _small(order.http, found, name, where), taken)
        elif body and name.endswith(".json"):
            findings += config_findings(where, name, body)
    if findings:
        raise AiplatError(findings)
    return _Snapshot(recipe.repository, commit, files)


def _listed(http: HttpClient, repository: str, revision: str, where: str) -> tuple[str, dict[str, Any]]:
    """Return the commit that a revision is at, and its files with what the hub says of each."""
    from huggingface_hub.hf_api import ModelInfo  # noqa: PLC0415 - as above

    url = f"{endpoint()}/api/models/{repository}/revision/{revision}?blobs=true"
    answer = http.get(url, headers=_headers(http), allow={401, 403, 404})
    if answer.status != 200:
        raise _refused(answer, where)
    try:
        info: Any = ModelInfo(**parsed_json(answer.body))  # type: ignore[no-untyped-call]
        files = {str(sibling.rfilename): sibling for sibling in info.siblings or ()}
    except (ValueError, KeyError, TypeError, AttributeError):
        problem = "the hub answers with something that is not a model's description"
        fix = "see HF_ENDPOINT, and whether a proxy or log-in page answers instead"
        raise AiplatError(Finding(where, problem, fix)) from None
    commit = str(info.sha)
    if not _COMMIT.fullmatch(commit) or (_COMMIT.fullmatch(revision) and commit != revision):
        raise AiplatError(Finding(where, f"the hub answers for another commit: {commit}", "see HF_ENDPOINT"))
    return commit, files


def _blob(http: HttpClient, found: _Snapshot, name: str, said: Any, where: str) -> tuple[Blob, bytes | None]:
    """Return digest and size of a file; the hub knows sha256 of large ones only, small ones are read."""
    if said.lfs:
        return blob_of(where, {"digest": f"sha256:{said.lfs.sha256}", "size": said.lfs.size}), None
    body = _small(http, found, name, where)
    git_id = hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()
    if said.blob_id and git_id != said.blob_id:
        problem = f"{name} is not what the commit has: it was exchanged or damaged"
        raise AiplatError(Finding(where, problem, "do not use it; see what stands in between"))
    return Blob(digest=sha256_bytes(body), size=len(body)), body


def _small(http: HttpClient, found: _Snapshot, name: str, where: str) -> bytes:
    answer = http.get(_url(found, name), headers=_headers(http), limit=_SMALL, allow={401, 403, 404})
    if answer.status != 200:
        raise _refused(answer, where)
    return answer.body


def _url(found: _Snapshot, name: str) -> str:
    from huggingface_hub import hf_hub_url  # noqa: PLC0415 - as above

    return hf_hub_url(found.repository, name, revision=found.commit, endpoint=endpoint())


def _part(http: HttpClient, found: _Snapshot, name: str) -> Part:
    url, blob, headers = _url(found, name), found.files[name], _headers(http)

    def bring(path: Path, told: Any) -> None:
        http.download(url, path, digest=blob.digest, size=blob.size, headers=headers, on_bytes=told)

    return Part(blob, bring)


def _refused(answer: HttpResponse, where: str) -> AiplatError:
    """Return what the hub means: it answers 401 also for what is not there."""
    repository, code = where.partition("@")[0], answer.headers.get("X-Error-Code", "")
    page = f"{_HUB}/{repository}"
    if code == "GatedRepo" and answer.status == 401:
        fix = f"accept its terms at {page}, then set HF_TOKEN to a token of that account"
        return BadInput(Finding(where, "is only for accounts that accepted its terms (401)", fix))
    if code == "GatedRepo":
        fix = f"ask for access at {page}, or use the token of an account that has it"
        return BadInput(Finding(where, "the account of HF_TOKEN was not given access (403)", fix))
    if code == "RevisionNotFound":
        return AiplatError(Finding(where, "has no such revision", f"see {page}/commits/main"))
    if answer.status in (401, 404):
        fix = "see the spelling; for a private one set HF_TOKEN"
        return AiplatError(Finding(where, f"is not there, or private ({answer.status})", fix))
    problem = f"the hub refuses this ({answer.status})"
    return AiplatError(Finding(where, problem, f"see {page}, and whether HF_TOKEN may read it"))
