"""A rotated token is exchanged by k3s itself, once, however often the role runs."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiplat.vault.pki import issue, make_ca
from tests.roles.conftest import RunModule

MODULE = "k3s_server/library/k3s_token.py"


class Server:
    """Answers as k3s does: whoever shows the secret may exchange it; keeps it where k3s does."""

    def __init__(self, root: Path) -> None:
        self.file = root / "var/lib/rancher/k3s/server/token"
        authority = root / "var/lib/rancher/k3s/server/tls/server-ca.crt"
        authority.parent.mkdir(parents=True)
        ca = make_ca("test")
        authority.write_text(ca.crt)
        leaf = issue(ca, "k3s", ["127.0.0.1"])
        (root / "leaf.pem").write_text(leaf.crt + leaf.key)
        self.asked: list[str] = []
        self.write("old")
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                shown = b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(shown)
                good = shown == f"server:{outer.secret}"
                if good:
                    outer.write(body["newToken"])
                self.send_response(200 if good else 401)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(root / "leaf.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/v1-k3s/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def secret(self) -> str:
        """The secret part of the token on disk."""
        return self.file.read_text().strip().rpartition(":")[2]

    def write(self, secret: str) -> None:
        """Keep a token as k3s writes it."""
        self.file.write_text(f"K10{'a' * 64}::server:{secret}\n")


@pytest.fixture
def k3s(tmp_path: Path) -> Iterator[Server]:
    """A k3s that has the token `old`."""
    server = Server(tmp_path)
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_a_rotated_token_is_exchanged_once(run_module: RunModule, k3s: Server, tmp_path: Path) -> None:
    """The second time, as after a run that was killed in between, there is nothing left to do."""
    wanted = {"unit": "k3s.service", "token": "new", "former": "old", "url": k3s.url, "root": str(tmp_path)}
    assert run_module(MODULE, **wanted)["changed"] is True
    assert run_module(MODULE, **wanted)["changed"] is False
    assert (k3s.secret, k3s.asked) == ("new", ["server:old"])


def test_the_same_token_asks_nobody(run_module: RunModule, k3s: Server, tmp_path: Path) -> None:
    """A run without a rotation, and a host without a cluster."""
    same = {"unit": "k3s.service", "token": "old", "url": k3s.url, "root": str(tmp_path)}
    assert run_module(MODULE, **same)["changed"] is False
    assert run_module(MODULE, **{**same, "root": str(tmp_path / "fresh")})["changed"] is False
    assert k3s.asked == []


def test_a_token_that_nobody_knows_is_left_alone(run_module: RunModule, k3s: Server, tmp_path: Path) -> None:
    """Neither the wanted one nor the one before: nothing is tried."""
    k3s.write("somebody's")
    failed = run_module(
        MODULE, unit="k3s.service", token="new", former="old", url=k3s.url, root=str(tmp_path)
    )
    assert "does not know; nothing was changed" in failed["msg"]
    assert (k3s.secret, k3s.asked) == ("somebody's", [])
