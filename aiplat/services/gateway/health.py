"""The health port: alive, ready, metrics; plain HTTP without a key, so it tells nothing of any request."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from aiplat.services.gateway.metrics import Metrics
from aiplat.services.gateway.routing.models import ModelTable
from aiplat.services.pages import Said, serve_pages


def health_port(
    host: str, port: int, table: ModelTable, metrics: Metrics
) -> AbstractAsyncContextManager[int]:
    """Serve /healthz, /readyz and /metrics; gives the port, which differs when 0 was asked for.

    Raises:
        OSError: nobody can listen there.
    """

    def alive() -> Said:
        return 200, b"ok\n"

    def ready() -> Said:
        return (200, b"ok\n") if table.ready else (503, b"the models have not been listed yet\n")

    def show() -> Said:
        metrics.models.set(len(table.all()))
        return 200, metrics.text()

    return serve_pages(host, port, {"/healthz": alive, "/readyz": ready, "/metrics": show})
