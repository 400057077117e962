"""The gateway as a process: what it imports, what it reads again, how it starts and stops."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from aiplat.content import write_atomic
from tests.patience import PATIENCE, eventually
from tests.services.gateway.conftest import KEY, MODEL, running, write_site_files
from tests.services.gateway.engine import Engine

ALLOWED = {
    "aiohttp",
    "brotli",
    "httptools",
    "jiter",
    "prometheus_client",
    "pydantic",
    "uvicorn",
    "uvloop",
    "zstandard",
    "aiplat",
}
# What the allowed ones bring along or look for themselves.
BROUGHT = {
    "_brotli",
    "aiohappyeyeballs", "aiosignal", "annotated_types", "attr", "backports", "click", "frozenlist", "h11",
    "idna", "multidict", "propcache", "pydantic_core", "typing_extensions", "typing_inspection", "yarl",
}  # fmt: skip


def test_it_imports_only_what_its_image_holds() -> None:
    """No FastAPI, no httpx, nothing of the operator's side."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "import aiplat.services.gateway.__main__\n"
        "site = lambda m: 'site-packages' in str(getattr(m, '__file__', '') or '')\n"
        "new = [(n, m) for n, m in sys.modules.items() if n not in before]\n"
        "print(*sorted({n.partition('.')[0] for n, m in new if site(m)}))\n"
        "print(*sorted(n for n in sys.modules if n.startswith('aiplat.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    outside, own = (set(line.split()) for line in done.stdout.splitlines())
    assert outside - ALLOWED - BROUGHT == set()
    assert {n for n in own if not n.startswith("aiplat.services")} <= {
        "aiplat.errors", "aiplat.content", "aiplat.frozen", "aiplat.moments",
    }  # fmt: skip


def test_a_new_key_is_known_and_an_old_one_forgotten_without_a_restart(
    engine: Engine, tmp_path: Path
) -> None:
    """Kubernetes replaces a mounted Secret in place."""
    write_site_files(tmp_path, {"models": []})
    with running(tmp_path) as gateway, gateway.client("sk-second") as second, gateway.client() as first:
        assert second.get("/v1/models").status_code == 401
        digest = hashlib.sha256(b"sk-second").hexdigest()
        write_atomic(tmp_path / "keys" / "second", digest.encode(), mode=0o600)
        assert eventually(lambda: second.get("/v1/models").status_code == 200)
        (tmp_path / "keys" / "site").unlink()
        assert eventually(lambda: first.get("/v1/models").status_code == 401)


def test_a_renewed_certificate_is_served_without_a_restart(engine: Engine, tmp_path: Path) -> None:
    """A client that trusts only the new CA gets through after the files were replaced."""
    write_site_files(tmp_path, {"models": []})
    with running(tmp_path) as gateway:
        write_site_files(tmp_path, {"models": []})

        def trusted() -> bool:
            try:
                with gateway.client() as client:
                    return client.get("/v1/models").status_code == 200
            except httpx.ConnectError:
                return False

        assert not trusted()
        assert eventually(trusted)


def test_models_listed_by_hand_are_read_again(engine: Engine, tmp_path: Path) -> None:
    """A broken file changes nothing; a good one does."""
    write_site_files(tmp_path, {"models": []})
    model = {"name": MODEL, "url": engine.url}
    with running(tmp_path) as gateway, gateway.client() as client:
        write_atomic(tmp_path / "models.json", b'{"models": [')
        assert eventually(lambda: b"old content stays" in (tmp_path / "log").read_bytes())
        assert client.get("/v1/models").status_code == 200
        write_atomic(tmp_path / "models.json", json.dumps({"models": [model]}).encode())
        assert eventually(lambda: len(client.get("/v1/models").json()["data"]) == 1)


def test_it_is_ready_only_when_the_models_were_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a cluster whose API does not answer it is alive but not ready."""
    write_site_files(tmp_path, {"models": []})
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with running(tmp_path, "--namespace=aiplat-model") as gateway:
        assert httpx.get(f"{gateway.health}/healthz").status_code == 200
        assert httpx.get(f"{gateway.health}/readyz").status_code == 503


def test_a_stop_lets_the_answer_under_way_finish(engine: Engine, tmp_path: Path) -> None:
    """SIGTERM ends the process after the stream, with 0."""
    model = {"name": "endless", "url": engine.url}
    write_site_files(tmp_path, {"models": [model]})
    with running(tmp_path) as gateway, gateway.client() as client:
        with client.stream("POST", "/v1/completions", json={"model": "endless", "stream": True}) as answer:
            stream = answer.iter_raw()
            got = next(stream)
            gateway.process.terminate()
            engine.release.set()
            got += b"".join(stream)
        assert got.endswith(b"data: [DONE]\n\n")
        assert gateway.process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [("not-a-hash", "not a sha256"), (None, "No such file or directory")],
)
def test_keys_that_cannot_be_read_stop_the_start(tmp_path: Path, content: str | None, said: str) -> None:
    """Better no gateway than one with half its keys; exit code 2, the file named."""
    write_site_files(tmp_path, {"models": []})
    keys = tmp_path / ("keys" if content else "nowhere")
    if content:
        write_atomic(keys / "site", content.encode())
    command = [
        sys.executable,
        "-m",
        "aiplat.services.gateway",
        f"--keys={keys}",
        f"--static={tmp_path / 'models.json'}",
    ]
    done = subprocess.run(
        [*command, "--health-port=0"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert str(keys) in done.stderr


def test_no_key_is_ever_in_the_log(engine: Engine, tmp_path: Path) -> None:
    """Neither a good key nor a wrong one, whatever the request did."""
    write_site_files(tmp_path, {"models": [{"name": "breaks", "url": engine.url}]})
    with running(tmp_path) as gateway:
        for key in (KEY, "sk-very-wrong"):
            with gateway.client(key) as client:
                client.post("/v1/completions", json={"model": "breaks", "stream": True})
                client.get("/v1/nothing")
    log = (tmp_path / "log").read_text()
    assert "breaks" in log
    assert KEY not in log
    assert "sk-very-wrong" not in log


def test_memory_stays_under_the_limit(engine: Engine, tmp_path: Path) -> None:
    """At most 120 MB after some hundred streams and some large requests."""
    model = {"name": MODEL, "url": engine.url}
    write_site_files(tmp_path, {"models": [model]})
    with running(tmp_path) as gateway, gateway.client() as client:
        large = "x" * (4 << 20)
        for _ in range(500):
            client.post("/v1/completions", json={"model": MODEL, "prompt": "x", "stream": True})
        for _ in range(5):
            client.post("/v1/completions", json={"model": MODEL, "prompt": large})
        status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert resident < 120 * 1000
