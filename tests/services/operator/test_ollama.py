"""Ollama is ready when its runner has the weights, whatever its server says of itself."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aiplat.catalog.engines import filled
from tests.patience import PATIENCE
from tests.services.operator.worlds import run_of

RUNNER = "/usr/bin/ollama\0runner\0--model\0/models/blobs/sha256-0\0--port\0" + "4000\0"


@dataclass
class Engine:
    """A server in Ollama's place, the processes of its container, and what was asked of it."""

    processes: Path
    status: int = 200
    asked: list[tuple[str, object]] = field(default_factory=list)
    port: int = 0
    keep_alive: str = "-1"

    def probe(self) -> subprocess.CompletedProcess[str]:
        """Run the readiness probe of component.yaml, which sees these processes and no others."""
        values = {"port": self.port, "model": "small:1b", "keepAlive": self.keep_alive}
        *shell, script = (filled(word, values) for word in run_of("ollama")["health"]["ready"]["command"])
        script = script.replace("/proc/", f"{self.processes}/")
        return subprocess.run([*shell, script], capture_output=True, text=True, timeout=PATIENCE, check=False)

    def starts(self, pid: int, command_line: str) -> None:
        """Have a process in the container."""
        (self.processes / str(pid)).mkdir()
        (self.processes / str(pid) / "cmdline").write_text(command_line)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine whose server runs, and no runner yet."""
    found = Engine(tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.asked.append((self.path, json.loads(body)))
            self.send_response(found.status)
            self.end_headers()
            self.wfile.write(b'{"error": "runner process has terminated"}')

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found.starts(1, "/usr/bin/ollama\0serve\0")
        yield found
        server.shutdown()


def test_without_a_runner_the_model_is_loaded(engine: Engine) -> None:
    """By an embedding of nothing, which every model answers; the probe that looks for one is not one."""
    engine.starts(7, "grep\0-qszxe\0--mode[l]\0/proc/1/cmdline\0")
    assert engine.probe().returncode == 0
    assert engine.asked == [("/api/embed", {"model": "small:1b"})]


def test_a_runner_is_left_alone(engine: Engine) -> None:
    """Asking with other options than the clients' would have the weights loaded again."""
    engine.starts(7, RUNNER)
    assert engine.probe().returncode == 0
    assert engine.asked == []


def test_a_runner_that_cannot_load_is_not_ready_and_says_why(engine: Engine) -> None:
    """As is a server that is not there."""
    engine.status = 500
    done = engine.probe()
    assert (done.returncode, "runner process has terminated" in done.stdout) == (1, True)
    engine.port = 9
    assert engine.probe().returncode != 0


def test_weights_that_may_leave_memory_are_not_brought_back_by_the_probe(engine: Engine) -> None:
    """With another `keepAlive` the first request loads them; a missing server is not ready still."""
    engine.keep_alive = "5m"
    assert engine.probe().returncode == 0
    assert engine.asked == []
    engine.port = 9
    assert engine.probe().returncode != 0


def test_a_load_is_waited_for() -> None:
    """A probe that is given up takes the load with it, so it may take as long as a start."""
    run = run_of("ollama")
    assert run["health"]["started"]["seconds"] >= run.get("startSeconds", 1800)
    assert run["health"]["started"] == run["health"]["ready"]
