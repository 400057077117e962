"""One HTTPS server for all upstream hosts; what each of them answers is in the modules beside."""

from __future__ import annotations

import base64
import os
import re
import ssl
import threading
from collections.abc import Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.upstreams.authority import Authority
from tests.upstreams.exchange import NOT_FOUND, Reply, Request, Service
from tests.upstreams.faults import Act, Fault
from tests.upstreams.helm_repository import HelmRepository
from tests.upstreams.huggingface_hub import HuggingFaceHub
from tests.upstreams.ollama_registry import OllamaRegistry
from tests.upstreams.proxy import Proxy
from tests.upstreams.registry import Registry
from tests.upstreams.releases import Files, GitHub

_PIECE = 1 << 16
_NO_BODY = 300
# Upstreams that most tests want; a host that is added later gets a certificate when it is.
_HUB = ("registry-1.docker.io", "auth.docker.io", "production.cloudfront.docker.com")


class Upstreams:
    """All upstreams of a test. `folder` is where the certificate is written; see the package's docstring."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority(folder)
        self.ca = self.authority.path
        self.services: dict[str, Service] = {}
        self.faults: list[Fault] = []
        self.seen: list[Request] = []
        self.stopped = threading.Event()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._server = _Server(self)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._proxy = Proxy(self.port)

    def __enter__(self) -> Self:
        self._thread.start()
        self._proxy.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._proxy.stop()
        self._server.shutdown()
        self._server.server_close()

    @property
    def proxy(self) -> str:
        """The address of the proxy that leads to the server, whatever host it is asked for."""
        return self._proxy.url

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to find the upstreams under their names."""
        return {
            "HTTPS_PROXY": self.proxy,
            "HTTP_PROXY": self.proxy,
            "NO_PROXY": "",
            "SSL_CERT_FILE": str(self.ca),
        }

    def mirror(self, host: str, service: Service | None = None) -> str:
        """Return the address of a mirror that stands for `host`: everybody may read it.

        It answers what the host answers, or what `service` does. In `seen` and for faults it is
        `mirror/<host>`.
        """
        host = {"docker.io": _HUB[0]}.get(host, host)
        self.services[f"mirror/{host}"] = service or self.services[host]
        return f"https://127.0.0.1:{self.port}/{host}"

    def asked(self, host: str) -> list[str]:
        """Return the paths that were asked for at one host, in order."""
        return [request.path for request in self.seen if request.host == host]

    def add(self, host: str, service: Service) -> None:
        """Let `service` answer for `host`."""
        self.services[host] = service

    def fault(self, host: str, pattern: str, act: Act, times: int | None = None) -> None:
        """Let something go wrong at `host` on the paths in which `pattern` is found, so many times."""
        self.faults.append(Fault(host, pattern, act, times))

    def certify(self, host: str, start: timedelta, end: timedelta) -> None:
        """Give a host a certificate that is valid from now + `start` to now + `end`."""
        self._contexts[host] = self.authority.context([host], start, end)

    def require_proxy_login(self, user: str, password: str) -> None:
        """Let the proxy answer 407 to whoever does not say these."""
        self._proxy.login = base64.b64encode(f"{user}:{password}".encode()).decode()

    def docker_hub(self, **options: Any) -> Registry:
        """Add Docker Hub: a registry that wants a token, and sends to another host for blobs."""
        hub = Registry(_HUB[0], token_host=_HUB[1], blob_host=_HUB[2], **options)
        return self._registry(hub)

    def registry(self, host: str, **options: Any) -> Registry:
        """Add an OCI registry; see Registry for what it may want of its clients."""
        return self._registry(Registry(host, **options))

    def github(self) -> GitHub:
        """Add GitHub's releases, which send to another host for files."""
        github = GitHub()
        for host in github.hosts:
            self.add(host, github)
        return github

    def files(self, host: str, files: Mapping[str, bytes | Path]) -> Files:
        """Add a host that serves files by their path."""
        service = Files(files)
        self.add(host, service)
        return service

    def helm(self, host: str, prefix: str = "") -> HelmRepository:
        """Add a Helm repository below `prefix`."""
        repository = HelmRepository(prefix)
        self.add(host, repository)
        return repository

    def ollama(self, host: str = "registry.ollama.ai") -> OllamaRegistry:
        """Add Ollama's registry and the store it sends to for blobs."""
        ollama = OllamaRegistry(host)
        for name in ollama.hosts:
            self.add(name, ollama)
        return ollama

    def huggingface(self, host: str = "huggingface.co") -> HuggingFaceHub:
        """Add the Hugging Face hub and the store it sends to for large files."""
        hub = HuggingFaceHub(host)
        for name in hub.hosts:
            self.add(name, hub)
        return hub

    def answer(self, request: Request) -> Reply:
        """Return what the host that is meant answers, with what goes wrong there."""
        self.seen.append(request)
        service = self.services.get(request.host)
        reply = service(request) if service else NOT_FOUND
        for fault in self.faults:
            if fault.applies(request):
                return fault.act(request, reply)
        return reply

    def context_for(self, name: str) -> ssl.SSLContext:
        """Return the TLS context of one host, made when it is first asked for."""
        if name not in self._contexts:
            self._contexts[name] = self.authority.context([name])
        return self._contexts[name]

    def _registry(self, registry: Registry) -> Registry:
        for host in registry.hosts:
            self.add(host, registry)
        return registry


class _Server(ThreadingHTTPServer):
    """Accepts connections; each one's handshake is made in its own thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstreams: Upstreams) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstreams = upstreams
        self._context = upstreams.authority.context(["127.0.0.1", "localhost"])
        self._context.sni_callback = self._choose

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            with self._context.wrap_socket(request, server_side=True) as wrapped:
                super().finish_request(wrapped, client_address)
        except OSError:
            # Clients that do not trust the certificate, or go away in the middle, are what tests are about.
            return

    def _choose(self, connection: Any, name: str | None, _: ssl.SSLContext) -> None:
        if name and name != "localhost":
            connection.context = self.upstreams.context_for(name)


class _Handler(BaseHTTPRequestHandler):
    """Turns what arrives into a Request, and a Reply into what leaves."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing: tests look at `seen`."""

    def do_GET(self) -> None:
        """Answer."""
        length = int(self.headers.get("Content-Length") or 0)
        host, target = self._meant()
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, host, target, headers, self.rfile.read(length))
        self._send(request, self.server.upstreams.answer(request))

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self.do_GET()

    def do_POST(self) -> None:
        """Answer."""
        self.do_GET()

    def do_PUT(self) -> None:
        """Answer."""
        self.do_GET()

    def _meant(self) -> tuple[str, str]:
        """Return the upstream host and the target there.

        A mirror has the host at the start of its path, a registry's mirror behind the `/v2` that begins it.
        """
        host = (self.headers.get("Host") or "").removesuffix(":443")
        if host.partition(":")[0] not in ("127.0.0.1", "localhost"):
            return host, self.path
        root = "/v2/" if self.path.startswith("/v2/") else "/"
        first, _, rest = self.path.removeprefix(root).partition("/")
        return f"mirror/{first}", f"{root}{rest}"

    def _send(self, request: Request, reply: Reply) -> None:
        start, end, reply = _ranged(request, reply)
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": str(end - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        if request.method == "HEAD":
            return
        self._send_body(reply, start, end)

    def _send_body(self, reply: Reply, start: int, end: int) -> None:
        last = min(
            (start + limit for limit in (reply.cut_after, reply.hold_after) if limit is not None), default=end
        )
        for position in range(start, min(last, end), _PIECE):
            self.wfile.write(reply.content(position, min(position + _PIECE, last, end)))
        if reply.hold_after is not None:
            self.wfile.flush()
            self.server.upstreams.stopped.wait()
        if reply.hold_after is not None or reply.cut_after is not None:
            self.close_connection = True


def _ranged(request: Request, reply: Reply) -> tuple[int, int, Reply]:
    """Return which bytes are asked for, and the answer that says so."""
    size = reply.size
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if reply.status != 200 or found is None:
        headers = reply.headers if reply.status >= _NO_BODY else {"Accept-Ranges": "bytes", **reply.headers}
        return 0, size, reply.but(headers=headers)
    start, end = int(found[1]), int(found[2]) + 1 if found[2] else size
    if start >= size:
        return 0, 0, Reply(416, {"Content-Range": f"bytes */{size}"})
    content_range = f"bytes {start}-{min(end, size) - 1}/{size}"
    return (
        start,
        min(end, size),
        reply.but(status=206, headers={**reply.headers, "Content-Range": content_range}),
    )


def trusting(ca: Path) -> dict[str, str]:
    """Return this process's environment with no proxy and only one authority, for clients that read it."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "SSL_CERT_FILE": str(ca)}
