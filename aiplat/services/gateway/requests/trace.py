"""What the data path tells a trace of a request, where the site wants traces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from aiplat.services.gateway.requests.usage import RequestRecord
from aiplat.services.gateway.routing.models import Model


class Trace(Protocol):
    """One request: a span for all of it, and one for each time that an upstream is asked.

    `id` is what OpenTelemetry knows all of them by.
    """

    id: str

    def asks(self, model: Model, path: str, url: str) -> dict[str, str]:
        """Hear that an upstream is asked; return the headers by which it can continue the trace."""
        ...

    def failed(self, error: BaseException) -> None:
        """Hear that the upstream did not answer."""
        ...

    def ends(self, record: RequestRecord) -> None:
        """Hear how the request ended."""
        ...


class Tracer(Protocol):
    """Begins traces."""

    def begin(self, method: str, headers: Mapping[bytes, bytes], request_id: str) -> Trace:
        """Begin the trace of a request, or continue its client's."""
        ...
