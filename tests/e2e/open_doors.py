"""Which ports answer who has no credentials; imports the standard library alone: hosts and pods run it."""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

PATHS = (
    *("/", "/metrics", "/healthz", "/version", "/v2/_catalog", "/pods"),
    *("/v1/models", "/api/tags", "/api/v1/me", "/api/v1/keys", "/api/v1/status/config", "/api/v1/rules"),
)
_SECONDS = 10
_OK = range(200, 300)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for the answer that it is: what leads to a login lets nobody in."""

    def redirect_request(self, *_given: object) -> None:
        """Follow none."""


def _status(url: str) -> int | None:
    unknown = ssl.create_default_context()
    unknown.check_hostname, unknown.verify_mode = False, ssl.CERT_NONE
    ways = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unknown), _Stay())
    try:
        with urllib.request.build_opener(*ways).open(url, timeout=_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError, http.client.HTTPException):
        return None  # nobody listens, or what listens speaks no HTTP


def _answered(target: tuple[str, str, int]) -> list[str]:
    _, address, port = target
    host = f"[{address}]" if ":" in address else address
    for scheme in ("https", "http"):
        found = {path: _status(f"{scheme}://{host}:{port}{path}") for path in PATHS[:1]}
        if found["/"] is None:
            continue
        found |= {path: _status(f"{scheme}://{host}:{port}{path}") for path in PATHS[1:]}
        opened = [path for path, status in found.items() if status in _OK]
        if opened or scheme == "http":
            return opened
    return []


def answered(targets: list[tuple[str, str, int]]) -> dict[str, list[str]]:
    """Return the paths of each `name:port` that answers well; targets are name, address and port."""
    found: dict[str, list[str]] = {}
    with ThreadPoolExecutor(16) as several:
        for (name, _, port), paths in zip(targets, several.map(_answered, targets), strict=True):
            if paths:
                found[f"{name}:{port}"] = paths
    return found


if __name__ == "__main__":
    json.dump(answered([tuple(t) for t in json.loads(sys.argv[1])]), sys.stdout)
