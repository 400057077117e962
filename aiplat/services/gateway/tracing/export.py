"""Sends spans to the endpoint that the site names, by OTLP over HTTP, within the site's rule about egress."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from aiplat.services.gateway.routing.egress import Egress
from aiplat.services.gateway.settings import Telemetry
from aiplat.services.gateway.tracing.spans import SpanTracer
from aiplat.services.request_id import REQUEST

log = logging.getLogger("aiplat.gateway")

_SECONDS = 10
_QUEUED = 2048
_EVERY_MS = 2000
_GOODBYE_SECONDS = 5


@asynccontextmanager
async def tracing(wanted: Telemetry, egress: Egress) -> AsyncIterator[SpanTracer]:
    """Yield what begins traces; at the end, what is still to be sent has a few seconds.

    Spans wait in a queue of a fixed length: where the endpoint is away, they are dropped, and requests wait
    for nothing.

    Raises:
        OSError: the file with the token cannot be read.
    """
    resource = Resource({"service.name": "aiplat-gateway", "service.instance.id": socket.gethostname()})
    # The site says how many are sent, not whoever sends a `traceparent`.
    provider = TracerProvider(
        resource=resource,
        sampler=TraceIdRatioBased(wanted.ratio),
        id_generator=_RequestIds(),
        shutdown_on_exit=False,
    )
    exporter = _Guarded(_exporter(wanted), wanted.endpoint, egress)
    batches = BatchSpanProcessor(exporter, max_queue_size=_QUEUED, schedule_delay_millis=_EVERY_MS)
    provider.add_span_processor(batches)
    try:
        yield SpanTracer(provider.get_tracer("aiplat.gateway"))
    finally:
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await asyncio.to_thread(provider.shutdown)
        except TimeoutError:
            log.warning("the last spans were not sent")


def _exporter(wanted: Telemetry) -> OTLPSpanExporter:
    session = requests.Session()
    session.trust_env = False
    # A redirect would lead around the rule about egress.
    session.max_redirects = 0
    token = wanted.token_file.read_text().strip() if wanted.token_file else ""
    return OTLPSpanExporter(
        endpoint=wanted.endpoint,
        certificate_file=str(wanted.ca) if wanted.ca else None,
        headers={"authorization": f"Bearer {token}"} if token else {},
        timeout=_SECONDS,
        session=session,
    )


class _RequestIds(RandomIdGenerator):
    """Names a trace that begins here as its request is named, so that who has one id has the other."""

    def generate_trace_id(self) -> int:
        """Return the request's id as a number: both are 16 random bytes."""
        request = REQUEST.get()
        return int(request, 16) if request else super().generate_trace_id()


class _Guarded(SpanExporter):
    """Sends only where data may go; says once when that changes."""

    def __init__(self, exporter: SpanExporter, endpoint: str, egress: Egress) -> None:
        self._exporter, self._endpoint, self._egress = exporter, endpoint, egress
        self._said = ""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, or drop them where the endpoint is outside of a site that forbids egress."""
        reason = self._egress.refuses(self._endpoint) or self._leads_outside()
        if reason and reason != self._said:
            log.error("spans are dropped: %s", reason)
        self._said = reason
        return SpanExportResult.FAILURE if reason else self._exporter.export(spans)

    def shutdown(self) -> None:
        """End the connection."""
        self._exporter.shutdown()

    def _leads_outside(self) -> str:
        if not self._egress.forbidden:
            return ""
        host = urlsplit(self._endpoint).hostname or ""
        try:
            found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
        except OSError as error:
            return f"{host}: {error}"
        outside = [address for address in found if not self._egress.holds(ip_address(address))]
        return f"{host} leads outside of the site, and egress is forbidden" if outside else ""
