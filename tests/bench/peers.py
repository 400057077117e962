"""Starts what is measured: nothing in between, our gateway, LiteLLM's proxy; one core each."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiplat.content import write_atomic
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "locks" / "bench.txt"
KEY = "sk-aiplat-" + "0" * 43
MODELS = ("frames-64", "frames-8", "paced-50-20")
GATEWAY_CORE, OTHER_CORE = 0, 1


@dataclass(frozen=True)
class Peer:
    """Something that answers OpenAI's API; `pid` is 0 where it is the upstream itself."""

    name: str
    port: int
    pid: int
    usage_frame: bool = False

    def memory_mb(self) -> float:
        """Return what it holds in memory now, with its children, in MB (proportional set size)."""
        return sum(_pss_kb(pid) for pid in _family(self.pid)) / 1000 if self.pid else 0.0

    def cpu_seconds(self) -> float:
        """Return the processor time it and its children have used."""
        return sum(_cpu(pid) for pid in _family(self.pid)) if self.pid else 0.0


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [pid]
    with contextlib.suppress(OSError):
        for child in children.read_text().split():
            found += _family(int(child))
    return found


def _pss_kb(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _cpu(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def pinned(core: int, command: list[str]) -> list[str]:
    """Return a command that runs on one core."""
    return ["taskset", "-c", str(core), *command]


@contextlib.contextmanager
def process(core: int, command: list[str], log: Path, **environment: str) -> Iterator[int]:
    """Run a command on one core until the block ends; yields its process id."""
    with log.open("wb") as out:
        started = subprocess.Popen(
            pinned(core, command), stdout=out, stderr=out, cwd=ROOT, env={**os.environ, **environment}
        )
    try:
        yield started.pid
    finally:
        started.terminate()
        try:
            started.wait(40)
        except subprocess.TimeoutExpired:
            started.kill()


def wait_until_answers(port: int, log: Path, seconds: float = 300) -> None:
    """Return when a chat is answered; what stands in the log helps where it never is."""
    body = json.dumps({"model": MODELS[0], "messages": [{"role": "user", "content": "x"}]}).encode()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5).read()
            return
        time.sleep(0.2)
    raise SystemExit(f"nothing answers on port {port}:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[Peer]:
    """Run the upstream."""
    port, log = free_port(), folder / "upstream.log"
    with process(OTHER_CORE, [sys.executable, "-m", "tests.bench.upstream", str(port)], log):
        wait_until_answers(port, log)
        yield Peer("direct", port, 0, usage_frame=True)


# Far more than a run can use: they are counted against, and never refuse.
_PLENTY = 2 * 10**9
_BUDGETS = [
    {"unit": unit, "period": period, "limit": _PLENTY}
    for unit in ("tokens", "requests", "money")
    for period in ("day", "month")
]


@contextlib.contextmanager
def gateway(folder: Path, to: Peer, database: str) -> Iterator[Peer]:
    """Run our gateway in front of the upstream."""
    models = [{"name": name, "url": f"http://127.0.0.1:{to.port}", "engine": "vllm"} for name in MODELS]
    with gateway_process(folder / "gateway", {"models": models}, database) as peer:
        wait_until_answers(peer.port, folder / "gateway" / "log")
        yield peer


@contextlib.contextmanager
def gateway_process(folder: Path, routes: dict[str, Any], database: str = "") -> Iterator[Peer]:
    """Run our gateway with everything on: a team, a key, rates, budgets, prices, usage, metrics and audit.

    Accounts are in `database`, or in a SQLite file where none is given.
    """
    port, health = free_port(), free_port()
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    rates = {"requests_per_minute": _PLENTY, "tokens_per_minute": _PLENTY, "budgets": _BUDGETS}
    config = {
        **routes,
        "listen": {"port": port, "health_port": health},
        "teams": [{"name": "bench", "budgets": _BUDGETS}],
        "keys": [{"id": "bench", "hash": f"sha256:{digest}", "team": "bench", **rates}],
        "prices": {"*": {"prompt": 1, "completion": 3, "request": 0.001}},
        "database": {"url": database},
    }
    write_atomic(folder / "gateway.json", json.dumps(config).encode())
    command = [sys.executable, "-m", "aiplat.services.gateway", "--config", str(folder / "gateway.json")]
    with process(GATEWAY_CORE, command, folder / "log") as pid:
        _wait_until_alive(health, folder / "log")
        yield Peer("aiplat", port, pid)


def _wait_until_alive(port: int, log: Path) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).read()
            return
        time.sleep(0.2)
    raise SystemExit(f"the gateway does not start:\n{log.read_text()[-2000:]}")


def litellm_environment() -> Path:
    """Return the folder of LiteLLM's own environment, made from the lock where it is not there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aiplat" / "bench"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    folder = cache / f"litellm-{digest}"
    if not (folder / "ready").exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, folder], check=True)
        install = [
            "pip",
            "install",
            "-q",
            "--require-hashes",
            "--python",
            folder / "bin" / "python",
            "-r",
            LOCK,
        ]
        subprocess.run([uv, *install], check=True)
        (folder / "ready").touch()
    return folder


@contextlib.contextmanager
def litellm(folder: Path, to: Peer) -> Iterator[Peer]:
    """Run LiteLLM's proxy as its documentation says for production, with one worker and a master key."""
    environment, port, log = litellm_environment(), free_port(), folder / "litellm.log"
    entries = [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"openai/{name}",
                "api_base": f"http://127.0.0.1:{to.port}/v1",
                "api_key": "none",
            },
        }
        for name in MODELS
    ]
    settings = {"set_verbose": False, "request_timeout": 600}
    config = {"model_list": entries, "litellm_settings": settings, "general_settings": {"master_key": KEY}}
    (folder / "litellm.yaml").write_text(json.dumps(config))
    command = [str(environment / "bin" / "litellm"), "--config", str(folder / "litellm.yaml")]
    command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--telemetry", "False"]
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}
    with process(GATEWAY_CORE, command, log, **quiet) as pid:
        wait_until_answers(port, log)
        yield Peer("litellm", port, pid)


def litellm_version() -> str:
    """Return the version that the lock names."""
    return next(
        line.split("==")[1].split()[0]
        for line in LOCK.read_text().splitlines()
        if line.startswith("litellm==")
    )
