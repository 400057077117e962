"""A real Kubernetes API server on loopback, without nodes: what the lab's hosts run, over Debian's etcd."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from aiplat.catalog.resolve import resolve
from aiplat.supply.oci import blob_path
from aiplat.supply.packages import PackagesSupply
from tests.patience import PATIENCE
from tests.plan.test_golden import SITE
from tests.ports import free_port

Document = dict[str, Any]
ADMIN, OPERATOR, STATES = "admin", "operator", "states"
_GROUP = "rbac.authorization.k8s.io/v1"
_PATHS = {
    "Namespace": "api/v1/namespaces",
    "Node": "api/v1/nodes",
    "ServiceAccount": "api/v1/namespaces/{}/serviceaccounts",
    "Pod": "api/v1/namespaces/{}/pods",
    "Event": "api/v1/namespaces/{}/events",
    "Service": "api/v1/namespaces/{}/services",
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "PodDisruptionBudget": "apis/policy/v1/namespaces/{}/poddisruptionbudgets",
    "CustomResourceDefinition": "apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "ClusterRole": f"apis/{_GROUP}/clusterroles",
    "ClusterRoleBinding": f"apis/{_GROUP}/clusterrolebindings",
    "ValidatingAdmissionPolicy": "apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": (
        "apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
    ),
    "Team": "apis/aiplat.dev/v1alpha1/teams",
    "Secret": "api/v1/namespaces/{}/secrets",
    "ResourceQuota": "api/v1/namespaces/{}/resourcequotas",
    "NetworkPolicy": "apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "Role": f"apis/{_GROUP}/namespaces/{{}}/roles",
    "RoleBinding": f"apis/{_GROUP}/namespaces/{{}}/rolebindings",
}


def api_server(folder: Path, **flags: str | Path) -> ApiServer:
    """Return a server that is not started yet, of the lab's own program and of Debian's etcd."""
    supply = PackagesSupply(resolve(SITE))
    made = supply.supply(supply.lock.artifact("hostfile", "k3s"), lambda *_: None)
    kubernetes = folder / "kubernetes"
    shutil.copyfile(blob_path(made.folder, str(made.artifact.file)), kubernetes)
    kubernetes.chmod(0o700)
    return ApiServer(kubernetes, fetch_program(folder / "package", "etcd-server", "etcd"), folder, **flags)


def install(server: ApiServer, documents: Iterable[Document]) -> None:
    """Apply what the operator's release brings, without its pods."""
    for name in ("aiplat-model", "aiplat-access", "aiplat-platform"):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        assert server.apply(namespace) == ""
    for document in documents:
        if document["kind"] not in {"Deployment", "NetworkPolicy", "ConfigMap"}:
            assert server.apply(document) == ""


def fetch_program(folder: Path, package_name: str, program: str) -> Path:
    """Return a program of a Debian package, without installing that: it would serve from then on."""
    folder.mkdir()
    command = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package_name]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, folder / "root"], check=True)
    return folder / "root" / "usr" / "bin" / program


class ApiServer:
    """An API server with an administrator and two service accounts: the operator's, kube-state-metrics'."""

    def __init__(self, kubernetes: Path, etcd: Path, folder: Path, **flags: str | Path) -> None:
        self._programs = kubernetes, etcd
        self._flags = {name.replace("_", "-"): value for name, value in flags.items()}
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        self.port = free_port()
        tokens = [f"{ADMIN}-token,{ADMIN},1,system:masters"]
        groups = "system:serviceaccounts,system:serviceaccounts:aiplat-model,system:authenticated"
        tokens += [f'{OPERATOR}-token,system:serviceaccount:aiplat-model:operator,2,"{groups}"']
        tokens += [f"{STATES}-token,system:serviceaccount:aiplat-platform:kube-state-metrics,3"]
        (folder / "tokens.csv").write_text("\n".join(tokens))

    def start(self) -> None:
        """Serve, and return once it is ready."""
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        key = self.folder / "account.key"
        make_key = ["openssl", "genpkey", "-algorithm", "RSA", "-out", key]
        subprocess.run(make_key, check=True, capture_output=True)
        self._run(self._programs[1], *_etcd_flags(self.folder / "etcd", client, peer))
        flags = {
            "etcd-servers": client,
            "cert-dir": self.folder,
            "secure-port": self.port,
            "bind-address": "127.0.0.1",
            "advertise-address": "192.0.2.1",
            "service-cluster-ip-range": "10.43.0.0/16",
            "service-account-key-file": key,
            "service-account-signing-key-file": key,
            "service-account-issuer": "https://kubernetes.default.svc",
            "token-auth-file": self.folder / "tokens.csv",
            "authorization-mode": "RBAC",
            "disable-admission-plugins": "ServiceAccount",
            **self._flags,
        }
        named = [f"--{name}={value}" for name, value in flags.items()]
        self._run(self._programs[0], "internal", "kube-apiserver", *named)
        self._wait()

    def _run(self, program: Path, *arguments: str) -> None:
        log = (self.folder / f"{program.name}.log").open("wb")
        command = ["setpriv", "--pdeathsig", "KILL", "--", program, *arguments]
        self._running.append(
            subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "GOMAXPROCS": "2"})
        )
        log.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._is_ready():
            log = (self.folder / f"{self._programs[0].name}.log").read_text()
            assert time.monotonic() < deadline, log[-2000:]
            assert all(p.poll() is None for p in self._running), log[-2000:]
            time.sleep(0.2)

    def _is_ready(self) -> bool:
        if not (self.folder / "apiserver.crt").exists():
            return False
        try:
            with self.client() as client:
                return client.get("readyz").text == "ok"
        except (httpx.TransportError, ssl.SSLError):
            # The certificate may be half written.
            return False

    def stop(self) -> None:
        """End it at once and remove what it kept."""
        for process in reversed(self._running):
            process.kill()
            process.wait(PATIENCE)
        shutil.rmtree(self.folder)

    def client(self, token: str = f"{ADMIN}-token") -> httpx.Client:
        """Return a client of the administrator, or of whoever has a token; the caller closes it."""
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.port}/",
            headers={"Authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(cafile=self.folder / "apiserver.crt"),
            trust_env=False,
        )

    def kubeconfig(self, user: str) -> Path:
        """Write a kubeconfig of a user."""
        server = {"server": f"https://127.0.0.1:{self.port}"}
        authority = {"certificate-authority": str(self.folder / "apiserver.crt")}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": server | authority}],
            "users": [{"name": "u", "user": {"token": f"{user}-token"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }
        path = self.folder / f"{user}.kubeconfig"
        path.write_text(json.dumps(document))
        return path

    def apply(self, document: Document, subresource: str = "", token: str = f"{ADMIN}-token") -> str:
        """Apply a document as kubectl does, unknown fields refused; return the refusal, empty where taken."""
        path = f"{_path(document)}/{document['metadata']['name']}{subresource}"
        query = {"fieldManager": "kubectl", "force": "true", "fieldValidation": "Strict"}
        kind = {"Content-Type": "application/apply-patch+yaml"}
        with self.client(token) as client:
            answer = client.patch(path, params=query, content=json.dumps(document), headers=kind)
        return "" if answer.is_success else str(answer.json()["message"])

    def change(self, document: Document, change: Document) -> None:
        """Merge a change into an object."""
        kind = {"Content-Type": "application/merge-patch+json"}
        path = f"{_path(document)}/{document['metadata']['name']}"
        with self.client() as client:
            client.patch(path, content=json.dumps(change), headers=kind).raise_for_status()

    def table(self, document: Document) -> dict[str, Any]:
        """Return the columns that `kubectl get` shows of an object."""
        wanted = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
        with self.client() as client:
            shown = client.get(f"{_path(document)}/{document['metadata']['name']}", headers=wanted).json()
        return dict(
            zip((c["name"] for c in shown["columnDefinitions"]), shown["rows"][0]["cells"], strict=True)
        )


def _etcd_flags(data: Path, client: str, peer: str) -> list[str]:
    urls = {"listen-client-urls": client, "advertise-client-urls": client, "listen-peer-urls": peer}
    urls |= {"initial-advertise-peer-urls": peer, "initial-cluster": f"default={peer}"}
    return [f"--data-dir={data}", "--unsafe-no-fsync", *(f"--{name}={url}" for name, url in urls.items())]


def _path(document: Document) -> str:
    namespace = document["metadata"].get("namespace", "default")
    if document["kind"] == "Model":
        return f"apis/{document['apiVersion']}/namespaces/{namespace}/models"
    return _PATHS[document["kind"]].format(namespace)
