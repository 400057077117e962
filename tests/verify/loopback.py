"""A whole site on loopback: cluster, registry, SSH greeting, and the real gateway in front of an engine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from aiplat.catalog.lockfile import write_lock
from aiplat.catalog.resolve import components_on
from aiplat.content import write_atomic
from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.vault.store import SiteSecrets, ensure_secrets
from tests.cluster import kube as given
from tests.cluster.kube import Kube
from tests.patience import PATIENCE
from tests.plan.test_golden import steady_lock
from tests.ports import free_port

MODEL = "gemma3:270m-base-q4_k_m"


class Loopback:
    """The parts of the site; tests break one and look what is said."""

    def __init__(self, kube: Kube, address: str) -> None:
        self.kube = kube
        self.address = address
        self.ssh = _Greeting(address, b"SSH-2.0-x\r\n")
        self.site = Site.model_validate(
            {
                "apiVersion": "aiplat.dev/v1alpha1",
                "kind": "Site",
                "name": "t-look",
                "hosts": [
                    {"name": "s1", "address": address, "role": "server", "ssh": {"port": self.ssh.port}}
                ],
                "models": [{"name": "gemma3:270m"}],
            }
        )
        self.secrets: SiteSecrets = ensure_secrets(self.site, lab=True)
        self.folder = site_dir(self.site.name)
        self.lock = steady_lock()

    def bootstrap(self) -> None:
        """Leave what a finished run leaves: kubeconfig, lock, and everything healthy in the cluster."""
        self.kube.write_kubeconfig(self.folder / "kubeconfig")
        write_lock(self.folder / "lock.yaml", self.lock)
        lists = self.kube.lists
        lists["nodes"] = [given.node("s1")]
        namespaces = ("aiplat-access", "aiplat-data", "aiplat-model", "aiplat-platform")
        lists["namespaces"] = [{"metadata": given.meta(n)} for n in (*namespaces, "kube-system")]
        lists["networkpolicies"] = [given.closed(n) for n in namespaces]
        on = [c for c in components_on(self.site) if c.is_release]
        lists["secrets"] = [given.release(c.name, c.namespace or "") for c in on]
        lists["deployments"], lists["pods"], lists["services"] = [], [], []
        slug = "engine-gemma3-270m-base-q4-k-m"
        engine = {"aiplat.dev/model": "gemma3-270m-base-q4-k-m", "aiplat.dev/engine": "ollama"}
        self._workload(slug, "operator", "docker.io/ollama/ollama", engine, 11434)
        self._workload("operator", "operator", "ghcr.io/aiplat/aiplat", {}, 8080)
        self._workload("gateway", "gateway", "ghcr.io/aiplat/aiplat", {}, 443)
        self._workload("postgresql", "postgresql", "ghcr.io/aiplat/postgresql", {}, 5432)
        self.kube.executed, self.kube.written, self.kube.logs = self._connect, "", {}

    def _workload(self, name: str, release: str, image: str, labels: dict[str, str], port: int) -> None:
        namespace = {"operator": "aiplat-model", "gateway": "aiplat-access"}.get(release, "aiplat-data")
        known = {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": release} | labels
        ref = self.lock.artifact("image", image).ref
        notes = {"model_name": MODEL} if "aiplat.dev/model" in labels else {}
        self.kube.lists["deployments"].append(given.deployment(name, namespace, known))
        self.kube.lists["pods"].append(given.pod(f"{name}-1", namespace, known, ref))
        self.kube.lists["services"].append(given.service(name, namespace, known, port, **notes))

    @staticmethod
    def _connect(pod: str, command: list[str]) -> tuple[str, int]:
        """Answer as a network would that lets the gateway reach engines and nothing else reach anything."""
        allowed = pod.startswith("gateway") and "/11434" in command[-1]
        return f"ended:{0 if allowed else 1}\n", 0


class _Greeting:
    """Says the same to everybody who connects."""

    def __init__(self, address: str, words: bytes) -> None:
        self.words = words
        self._listener = socket.create_server((address, 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._greet, daemon=True).start()

    def _greet(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(self.words)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()


@contextlib.contextmanager
def registry(secrets: SiteSecrets, folder: Path, address: str) -> Iterator[None]:
    """Answer /v2/ with the site's registry certificate on its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v2/" else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    write_atomic(folder / "registry.pem", (secrets.registry.crt + secrets.registry.key).encode(), mode=0o600)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "registry.pem")
    server = ThreadingHTTPServer((address, 5443), Answer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def gateway(secrets: SiteSecrets, folder: Path, address: str, engine: str) -> Iterator[None]:
    """Run the real gateway on port 443 of a loopback address, with the site's certificate and key."""
    write_atomic(folder / "tls.crt", secrets.gateway.crt.encode())
    write_atomic(folder / "tls.key", secrets.gateway.key.encode(), mode=0o600)
    digest = hashlib.sha256(secrets.api_key.encode()).hexdigest()
    write_atomic(folder / "keys" / "site", digest.encode(), mode=0o600)
    model = {"name": MODEL, "url": engine, "aliases": ["gemma3:270m"]}
    write_atomic(folder / "models.json", json.dumps({"models": [model]}).encode())
    health = free_port()
    arguments = [f"--host={address}", "--port=443", f"--health-port={health}", f"--keys={folder / 'keys'}"]
    arguments += [f"--static={folder / 'models.json'}", f"--tls-cert={folder / 'tls.crt'}"]
    arguments += [f"--tls-key={folder / 'tls.key'}"]
    command = [sys.executable, "-m", "aiplat.services.gateway", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ})
    try:
        trusted = ssl.create_default_context(cadata=secrets.ca.crt)
        with httpx.Client(transport=httpx.HTTPTransport(retries=14, verify=trusted)) as client:
            client.get(f"https://{address}/")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
