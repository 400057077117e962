"""A request as spans: one for all of it, one for each time that an upstream is asked."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from aiplat.services.gateway.requests.usage import RequestRecord
from aiplat.services.gateway.routing.models import Model
from aiplat.services.gateway.tracing import genai

_W3C = TraceContextTextMapPropagator()
_CARRIED = (b"traceparent", b"tracestate")
_FAILED = 500


class SpanTracer:
    """Begins the traces of requests."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, method: str, headers: Mapping[bytes, bytes], request_id: str) -> SpanTrace:
        """Begin the trace of a request, or continue its client's."""
        carried = {name.decode(): headers[name].decode("latin-1") for name in _CARRIED if name in headers}
        attributes = {genai.METHOD: method, genai.REQUEST_ID: request_id}
        parent = _W3C.extract(carried, Context())
        span = self._tracer.start_span(method, parent, SpanKind.SERVER, attributes)
        return SpanTrace(self._tracer, span, method)


class SpanTrace:
    """The spans of one request."""

    def __init__(self, tracer: Tracer, span: Span, method: str) -> None:
        self._tracer, self._span, self._method = tracer, span, method
        self.id = format_trace_id(span.get_span_context().trace_id)
        self._asking: Span | None = None

    def asks(self, model: Model, path: str, url: str) -> dict[str, str]:
        """Begin a span for an upstream; return the headers by which an engine of the site continues it."""
        self._end_asking()
        operation, place = genai.operation_of(path), urlsplit(url)
        attributes: dict[str, str | int] = {
            genai.OPERATION: operation,
            genai.PROVIDER: model.provider or model.engine or "aiplat",
            genai.REQUESTED_MODEL: model.name,
            genai.SERVER: place.hostname or "",
            genai.PORT: place.port or (443 if place.scheme == "https" else 80),
        }
        inside = set_span_in_context(self._span, Context())
        name = f"{operation} {model.name}"
        self._asking = self._tracer.start_span(name, inside, SpanKind.CLIENT, attributes)
        carried: dict[str, str] = {}
        if not model.provider:
            # Who serves models elsewhere learns nothing of what belongs together here.
            _W3C.inject(carried, set_span_in_context(self._asking, Context()))
        return carried

    def failed(self, error: BaseException) -> None:
        """Hear that the upstream did not answer."""
        if self._asking is not None:
            _wrong(self._asking, type(error).__name__)
            self._end_asking()

    def ends(self, record: RequestRecord) -> None:
        """End every span with what came of the request."""
        if self._asking is not None:
            self._asking.set_attributes(_answer(record))
            if record.outcome != "done":
                _wrong(self._asking, str(record.status) if record.status else record.outcome)
            self._end_asking()
        self._span.update_name(f"{self._method} {record.endpoint}")
        attributes: dict[str, str | int] = {genai.ROUTE: record.endpoint, genai.STATUS: record.status}
        attributes[genai.OUTCOME] = record.outcome
        self._span.set_attributes(attributes | ({genai.KEY: record.key} if record.key else {}))
        if record.status >= _FAILED or not record.status:
            _wrong(self._span, str(record.status) if record.status else record.outcome)
        self._span.end()

    def _end_asking(self) -> None:
        if self._asking is not None:
            self._asking.end()
            self._asking = None


def _answer(record: RequestRecord) -> dict[str, str | int | float | bool]:
    found: dict[str, str | int | float | bool] = {
        genai.ANSWERING_MODEL: record.model,
        genai.INPUT_TOKENS: record.usage.prompt,
        genai.OUTPUT_TOKENS: record.usage.completion,
        genai.ESTIMATED: record.usage.estimated,
    }
    return found if record.first_byte is None else found | {genai.FIRST_CHUNK: record.first_byte}


def _wrong(span: Span, what: str) -> None:
    span.set_attribute(genai.ERROR, what)
    span.set_status(StatusCode.ERROR)
