"""Clients that go another way: the certificate still has to speak for the name that was asked for."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from aiplat.cluster.client import Cluster, ClusterUnreachable
from aiplat.cluster.raw import NoAnswer, RawObjects
from aiplat.cluster.way import End, request_hooks
from aiplat.errors import AiplatError, Finding
from aiplat.site.models import Host
from aiplat.vault.pki import issue, make_ca
from tests.cluster.kube import VERSION

ADDRESS = "10.255.255.1"
Server = Callable[[str], int]


class _To:
    """Everything is at one port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port

    def to(self, address: str, port: int) -> End:  # noqa: ARG002 - whatever is asked for
        return "127.0.0.1", self._port

    def to_ssh(self, host: Host) -> End:  # noqa: ARG002 - whichever it is
        return "127.0.0.1", self._port


class _Nowhere(_To):
    """There is no way."""

    def to(self, address: str, port: int) -> End:  # noqa: ARG002 - whatever is asked for
        raise AiplatError(Finding("s1", "is off", "switch it on"))


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(VERSION | {"host": self.headers["host"]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Start a server whose certificate is for one name, and return its port; `ca.crt` is the authority."""
    authority = make_ca("ward")
    (tmp_path / "ca.crt").write_text(authority.crt)
    started: list[ThreadingHTTPServer] = []

    def start(name: str) -> int:
        pair = issue(authority, "server", [name])
        (tmp_path / "server.pem").write_text(pair.crt + pair.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.pem")
        found = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
        found.socket = context.wrap_socket(found.socket, server_side=True)
        threading.Thread(target=found.serve_forever, daemon=True).start()
        started.append(found)
        return found.server_port

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


def _kubeconfig(folder: Path) -> Path:
    authority = base64.b64encode((folder / "ca.crt").read_bytes()).decode()
    cluster = {"server": f"https://{ADDRESS}:6443", "certificate-authority-data": authority}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(document))
    return folder / "kubeconfig"


def test_kubernetes_is_asked_by_another_way_under_its_own_name(server: Server, tmp_path: Path) -> None:
    """The certificate is for the server's address; the port here is nobody's name."""
    port = server(ADDRESS)
    assert Cluster(_kubeconfig(tmp_path), _To(port)).version() == VERSION["gitVersion"]


def test_another_servers_certificate_is_refused(server: Server, tmp_path: Path) -> None:
    """Also one that speaks for this machine; what is told names the address that was meant."""
    port = server("127.0.0.1")
    with pytest.raises(ClusterUnreachable, match=rf"https://{ADDRESS}:6443: cannot be asked"):
        Cluster(_kubeconfig(tmp_path), _To(port)).version()
    with pytest.raises(NoAnswer):
        RawObjects.of_kubeconfig(_kubeconfig(tmp_path), "tester", _To(port)).listed("Node")


def test_no_way_there_is_the_cause_that_is_told(server: Server, tmp_path: Path) -> None:
    """As an unreachable cluster, so that checks that need it are skipped."""
    server(ADDRESS)
    with pytest.raises(ClusterUnreachable, match="s1: is off; switch it on"):
        Cluster(_kubeconfig(tmp_path), _Nowhere(0))


def _get(port: int, tmp_path: Path) -> httpx.Response:
    url = "https://platform.example/version/"
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    with httpx.Client(verify=trusted, trust_env=False, event_hooks=request_hooks(url, _To(port))) as client:
        return client.get(url)


def test_http_goes_the_other_way_under_its_own_name(server: Server, tmp_path: Path) -> None:
    """Certificate and Host header are those of the URL."""
    answer = _get(server("platform.example"), tmp_path)
    assert (answer.status_code, answer.json()["host"]) == (200, "platform.example")


def test_http_refuses_another_servers_certificate(server: Server, tmp_path: Path) -> None:
    """Also one that speaks for this machine."""
    with pytest.raises(httpx.ConnectError, match="certificate"):
        _get(server("127.0.0.1"), tmp_path)
