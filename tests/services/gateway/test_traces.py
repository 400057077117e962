"""Spans of requests at a real OTLP receiver: the client's trace, and no word of a prompt."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from aiplat.services.gateway.routing.egress import Egress
from aiplat.services.gateway.settings import Telemetry, parse
from aiplat.services.gateway.tracing import genai
from aiplat.services.gateway.tracing.export import tracing
from tests.patience import PATIENCE, eventually
from tests.ports import free_port
from tests.services.gateway.conftest import MODEL, RunningGateway, running, write_site_files
from tests.services.gateway.engine import Engine

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "nobody but the model reads this"


class Receiver:
    """An OTLP endpoint on loopback; `spans` are all that came, by trace id."""

    def __init__(self, status: int = 200) -> None:
        self.raw: list[bytes] = []
        self.tokens: list[str] = []
        received = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.tokens.append(self.headers.get("authorization", ""))
                received.raw.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(status)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self._server.server_port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._thread.join(PATIENCE)
        self._server.server_close()

    def spans(self, trace: str = TRACE) -> dict[str, Any]:
        """Return the spans of a trace by their names."""
        found = {}
        for raw in list(self.raw):
            for resource in ExportTraceServiceRequest.FromString(raw).resource_spans:
                for scope in resource.scope_spans:
                    found |= {span.name: span for span in scope.spans if span.trace_id.hex() == trace}
        return found


def attributes(span: Any) -> dict[str, Any]:
    """Return a span's attributes."""
    kinds = ("string_value", "int_value", "double_value", "bool_value")
    return {a.key: getattr(a.value, next(k for k in kinds if a.value.HasField(k))) for a in span.attributes}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """The endpoint that the gateway sends to."""
    found = Receiver()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def traced(
    engine: Engine, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    """A gateway that sends spans, with one good model and one that is down."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "token").write_text("t0ken\n")
    models: list[dict[str, object]] = [
        {"name": MODEL, "url": engine.url, "engine": "ollama"},
        {"name": "down", "url": f"http://127.0.0.1:{free_port()}"},
    ]
    write_site_files(folder, {"models": models})
    telemetry = (f"--otlp-endpoint={receiver.url}", f"--otlp-token={folder / 'token'}")
    with running(folder, f"--static={folder / 'models.json'}", *telemetry) as gateway:
        yield gateway


def answer(gateway: RunningGateway, model: str, headers: dict[str, str]) -> httpx.Response:
    """Return the answer to a chat."""
    body = {"model": model, "messages": [{"role": "user", "content": SECRET}], "stream": True}
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json=body, headers=headers)


def ask(gateway: RunningGateway, model: str, trace: str) -> int:
    """Ask as a client that traces too; returns the status."""
    return answer(gateway, model, {"traceparent": f"00-{trace}-{PARENT}-01"}).status_code


def test_a_request_is_two_spans_of_the_clients_trace(
    traced: RunningGateway, engine: Engine, receiver: Receiver
) -> None:
    """The engine can continue it; tokens, model and status are there, what was written is not."""
    assert ask(traced, MODEL, TRACE) == 200
    assert eventually(lambda: len(receiver.spans()) == 2)
    whole, asked = receiver.spans()["POST /v1/chat/completions"], receiver.spans()[f"chat {MODEL}"]
    assert (whole.parent_span_id.hex(), asked.parent_span_id) == (PARENT, whole.span_id)
    assert engine.headers[-1]["traceparent"] == f"00-{TRACE}-{asked.span_id.hex()}-01"
    said = attributes(asked)
    assert (said[genai.OPERATION], said[genai.PROVIDER]) == ("chat", "ollama")
    assert said[genai.REQUESTED_MODEL] == said[genai.ANSWERING_MODEL] == MODEL
    assert said[genai.INPUT_TOKENS] > 0
    assert said[genai.OUTPUT_TOKENS] > 0
    assert said[genai.FIRST_CHUNK] > 0
    assert (said[genai.SERVER], said[genai.PORT]) == ("127.0.0.1", engine.port)
    assert (attributes(whole)[genai.STATUS], attributes(whole)[genai.KEY]) == (200, "site")
    assert not any(SECRET.encode() in raw for raw in receiver.raw)
    assert set(receiver.tokens) == {"Bearer t0ken"}


def test_what_fails_is_an_error_with_its_kind(traced: RunningGateway, receiver: Receiver) -> None:
    """An engine that is down is asked several times; each time is a span."""
    trace = TRACE[::-1]
    assert ask(traced, "down", trace) == 503
    assert eventually(lambda: "POST /v1/chat/completions" in receiver.spans(trace))
    spans = receiver.spans(trace)
    assert attributes(spans["chat down"])[genai.ERROR] == "ClientConnectorError"
    assert attributes(spans["POST /v1/chat/completions"])[genai.ERROR] == "503"
    assert {span.status.code for span in spans.values()} == {2}


def test_an_error_names_its_trace(traced: RunningGateway, receiver: Receiver) -> None:
    """A trace that begins here is named as its request is; a client's own keeps its name."""
    error = answer(traced, "down", {}).json()["error"]
    assert error["trace_id"] == error["request_id"]
    assert eventually(lambda: "POST /v1/chat/completions" in receiver.spans(error["trace_id"]))
    theirs = answer(traced, "down", {"traceparent": f"00-{TRACE}-{PARENT}-01"}).json()["error"]
    assert theirs["trace_id"] == TRACE != theirs["request_id"]


def test_without_an_endpoint_nothing_of_it_is_loaded_or_sent(gateway: RunningGateway, engine: Engine) -> None:
    """Memory and requests cost what they did; a client's trace is not passed on."""
    assert ask(gateway, MODEL, TRACE) == 200
    assert "traceparent" not in engine.headers[-1]
    loaded = (
        "import sys, aiplat.services.gateway.__main__; print([m for m in sys.modules if 'telemetry' in m])"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("host", "status", "forbidden", "sent"),
    [("localhost", 200, True, 1), ("collector.example", 200, True, 0), ("localhost", 307, False, 1)],
)
def test_spans_go_where_data_may_go_and_nowhere_else(
    host: str, status: int, forbidden: bool, sent: int, caplog: pytest.LogCaptureFixture
) -> None:
    """An endpoint outside of a site that forbids egress gets none, and a redirect is not followed."""
    receiver = Receiver(status)
    wanted = Telemetry(receiver.url.replace("localhost", host))

    async def body() -> None:
        async with tracing(wanted, Egress(forbidden)) as tracer:
            tracer.begin("GET", {}, "r")._span.end()  # type: ignore[attr-defined]

    asyncio.run(body())
    receiver.stop()
    assert len(receiver.raw) == sent
    assert ("collector.example is outside of the site" in caplog.text) is (sent == 0)


def test_names_are_those_of_the_conventions() -> None:
    """A name that the library's table of them does not have is a slip of the pen, or was renamed."""
    known = {
        getattr(gen_ai_attributes, name) for name in dir(gen_ai_attributes) if name.startswith("GEN_AI_")
    }
    mine = {value for name, value in vars(genai).items() if name[0].isupper() and value.startswith("gen_ai.")}
    assert len(mine) >= 7
    assert mine <= known


@pytest.mark.parametrize("words", [["--otlp-endpoint=collector:4318"], ["--otlp-ratio=2"]])
def test_an_endpoint_that_is_none_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """When the gateway starts."""
    with pytest.raises(SystemExit):
        parse(["--namespace=n", "--keys=/k", *words])
    assert "--otlp-" in capsys.readouterr().err
