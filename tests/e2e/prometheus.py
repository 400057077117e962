"""Asks a site's Prometheus, from where it runs; what is expected of its answers is the journeys'."""

from __future__ import annotations

import json
import shlex
from typing import Any

from tests.e2e.journey import Journey
from tests.patience import eventually

_EXEC = "k3s kubectl -n aiplat-platform exec prometheus-0"


def in_prometheus(ward: Journey, script: str) -> str:
    """Run a shell script where Prometheus runs."""
    return ward.on_host(f"{_EXEC} -- sh -c {shlex.quote(script)}")


def asked(ward: Journey, query: str) -> list[dict[str, Any]]:
    """Return the samples that a query finds now."""
    told = in_prometheus(ward, f"promtool query instant -o json http://localhost:9090 {shlex.quote(query)}")
    return list(json.loads(told))


def come(ward: Journey, *queries: str) -> None:
    """Wait until each of the queries finds something."""
    for query in queries:
        assert eventually(lambda query=query: bool(asked(ward, query))), query
