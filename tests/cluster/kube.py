"""An API server on loopback that lists what it is given and runs commands in pods as it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.served import Served

Document = dict[str, Any]
LISTS = {
    "/api/v1/nodes": "nodes",
    "/api/v1/pods": "pods",
    "/api/v1/services": "services",
    "/api/v1/secrets": "secrets",
    "/api/v1/namespaces": "namespaces",
    "/apis/apps/v1/deployments": "deployments",
    "/apis/apps/v1/statefulsets": "statefulsets",
    "/apis/apps/v1/daemonsets": "daemonsets",
    "/apis/aiplat.dev/v1alpha1/models": "models",
    "/apis/ollama.ayaka.io/v1/models": "ollama models",
    "/apis/networking.k8s.io/v1/networkpolicies": "networkpolicies",
    "/api/v1/configmaps": "configmaps",
    "/api/v1/events": "events",
}
VERSION = {
    "gitVersion": "v9.9.9",
    "major": "9",
    "minor": "9",
    "gitCommit": "",
    "gitTreeState": "",
} | dict.fromkeys(("buildDate", "goVersion", "compiler", "platform"), "")


class Kube(Served):
    """Holds lists of documents by plural name.

    `executed` answers a command in a pod with output and code; `written` is every pod's log, but for those
    that `logs` has by the pod's name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lists: dict[str, list[Document]] = {name: [] for name in LISTS.values()}
        self.executed: Callable[[str, list[str]], tuple[str, int]] = lambda _pod, _command: ("", 0)
        self.written = ""
        self.logs: dict[str, str] = {}
        self.asked: list[str] = []
        self.applied = 0
        self.lease: Document | None = None
        self.refuse = 0

    def write_kubeconfig(self, path: Path) -> None:
        """Write a kubeconfig that leads here."""
        named: Document = {"apiVersion": "v1", "kind": "Config", "current-context": "c"}
        named["clusters"] = [{"name": "c", "cluster": {"server": self.url}}]
        named["users"] = [{"name": "u", "user": {}}]
        named["contexts"] = [{"name": "c", "context": {"cluster": "c", "user": "u"}}]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(named))

    def application(self) -> web.Application:
        """Return the routes of an API server."""
        app = web.Application()
        app.router.add_get("/version/", self._version)
        for path in LISTS:
            app.router.add_get(path, self._list)
        app.router.add_get("/api/v1/namespaces/{namespace}/{plural}", self._list)
        app.router.add_patch("/api/v1/namespaces/{namespace}/{plural}/{name}", self._apply)
        app.router.add_delete("/api/v1/namespaces/{namespace}/{plural}/{name}", self._delete)
        app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/exec", self._exec)
        app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/log", self._log)
        app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/portforward", self._forward)
        leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
        app.router.add_post(leases, self._make_lease)
        for method in ("GET", "PUT", "DELETE"):
            app.router.add_route(method, f"{leases}/{{name}}", self._of_lease)
        return app

    def _refusal(self) -> web.Response | None:
        return web.json_response({"message": "no"}, status=self.refuse) if self.refuse else None

    async def _version(self, _: web.Request) -> web.Response:
        return self._refusal() or web.json_response(VERSION)

    async def _list(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        namespace = request.match_info.get("namespace")
        items = self.lists[request.match_info["plural"] if namespace else LISTS[request.path]]
        wanted = _selector(request.query.get("labelSelector", ""))
        found = [
            item
            for item in items
            if (not namespace or item["metadata"]["namespace"] == namespace)
            and all(_matches(item, key, value) for key, value in wanted)
        ]
        document = {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": found}
        return self._refusal() or web.json_response(document)

    async def _apply(self, request: web.Request) -> web.Response:
        if refusal := self._refusal():
            return refusal
        document = json.loads(await request.read())
        self.applied += 1
        document["metadata"]["resourceVersion"] = str(self.applied)
        self._take_out(request)
        self.lists[request.match_info["plural"]].append(document)
        return web.json_response(document)

    async def _delete(self, request: web.Request) -> web.Response:
        refusal = self._refusal()
        if not refusal:
            self._take_out(request)
        return refusal or web.json_response({})

    async def _make_lease(self, request: web.Request) -> web.Response:
        if self.refuse or self.lease is not None:
            return self._refusal() or web.json_response({}, status=409)
        return self._keep_lease(await request.json())

    async def _of_lease(self, request: web.Request) -> web.Response:
        """Answer as the API: what is written or deleted must still be as its writer saw it."""
        if self.refuse or self.lease is None:
            return self._refusal() or web.json_response({}, status=404)
        if request.method == "GET":
            return web.json_response(self.lease)
        document = await request.json()
        seen = document["metadata"] if request.method == "PUT" else document["preconditions"]
        if any(self.lease["metadata"][part] != seen[part] for part in ("uid", "resourceVersion")):
            return web.json_response({}, status=409)
        if request.method == "PUT":
            return self._keep_lease(document)
        self.lease = None
        return web.json_response({"kind": "Status", "apiVersion": "v1"})

    def _keep_lease(self, document: Document) -> web.Response:
        self.applied += 1
        document["metadata"] |= {"resourceVersion": str(self.applied)}
        document["metadata"].setdefault("uid", f"lease-{self.applied}")
        self.lease = document
        return web.json_response(document)

    def _take_out(self, request: web.Request) -> None:
        asked = request.match_info
        items, named = self.lists[asked["plural"]], (asked["namespace"], asked["name"])
        items[:] = [i for i in items if (i["metadata"]["namespace"], i["metadata"]["name"]) != named]

    async def _log(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        lines = self.logs.get(request.match_info["pod"], self.written).splitlines(keepends=True)
        asked = {name: int(request.query.get(name, 1 << 40)) for name in ("tailLines", "limitBytes")}
        # As a kubelet: bytes are counted from the first of the last lines on.
        body = "".join(lines[-asked["tailLines"] or len(lines) :]).encode()[: asked["limitBytes"]]
        return self._refusal() or web.Response(body=body, content_type="text/plain")

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        output, code = self.executed(request.match_info["pod"], request.query.getall("command"))
        await socket.send_bytes(b"\x01" + output.encode())
        cause = {"reason": "ExitCode", "message": str(code)}
        status: Document = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]}}
        await socket.send_bytes(b"\x03" + json.dumps(status if code else {"status": "Success"}).encode())
        await socket.close()
        return socket

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        """Answer what comes on the port with the pod's name, the port, and what came."""
        self.asked.append(request.path_qs)
        port, socket = int(request.query["ports"]), web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await socket.prepare(request)
        for channel in (b"\x00", b"\x01"):
            await socket.send_bytes(channel + port.to_bytes(2, "little"))
        async for message in socket:
            said = f"{request.match_info['pod']} {port} ".encode()
            await socket.send_bytes(b"\x00" + said + message.data[1:])
        return socket


def _selector(text: str) -> list[tuple[str, str]]:
    return [tuple(part.partition("=")[::2]) for part in text.split(",") if part]  # type: ignore[misc]


def _matches(item: Document, key: str, value: str) -> bool:
    labels = item["metadata"].get("labels", {})
    if key.startswith("!"):
        return key[1:] not in labels
    return key in labels and value in {"", labels[key]}


def meta(name: str, namespace: str = "", **more: Any) -> Document:
    """Return the metadata of an object."""
    return {"name": name, "uid": name} | ({"namespace": namespace} if namespace else {}) | more


def node(name: str, ready: str = "True", message: str = "kubelet is posting ready status") -> Document:
    """Return a node."""
    conditions = [{"type": "Ready", "status": ready, "message": message}]
    unknown = "architecture bootID containerRuntimeVersion kernelVersion kubeProxyVersion machineID"
    names = [*unknown.split(), "operatingSystem", "osImage", "systemUUID"]
    info = dict.fromkeys(names, "") | {"kubeletVersion": "v9.9.9"}
    addresses = [{"type": "InternalIP", "address": "10.0.0.1"}]
    return {
        "metadata": meta(name),
        "status": {"conditions": conditions, "nodeInfo": info, "addresses": addresses},
    }


def deployment(
    name: str, namespace: str, labels: dict[str, str], available: int = 1, wanted: int = 1
) -> Document:
    """Return a Deployment whose newest pods are `available` of `wanted`."""
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    conditions = [
        {"type": "Available", "status": "False", "message": "Deployment does not have minimum availability."}
    ]
    return {
        "metadata": meta(name, namespace, labels=labels, generation=2),
        "spec": {"replicas": wanted, "selector": {"matchLabels": labels}, "template": template},
        "status": {
            "observedGeneration": 2,
            "updatedReplicas": wanted,
            "availableReplicas": available,
            "conditions": conditions if available < wanted else [],
        },
    }


def pod(
    name: str, namespace: str, labels: dict[str, str], image: str, waiting: Document | None = None
) -> Document:
    """Return a pod that runs, or waits for the reason given."""
    state: Document = {"waiting": waiting} if waiting else {"running": {}}
    container = {
        "name": "c",
        "image": image,
        "imageID": "",
        "ready": not waiting,
        "restartCount": 0,
        "state": state,
    }
    return {
        "metadata": meta(name, namespace, labels=labels),
        "spec": {"nodeName": "s1", "containers": [{"name": "c", "image": image}]},
        "status": {
            "phase": "Pending" if waiting else "Running",
            "conditions": [{"type": "Ready", "status": "False" if waiting else "True"}],
            "containerStatuses": [container],
        },
    }


def service(name: str, namespace: str, labels: dict[str, str], port: int, **notes: str) -> Document:
    """Return a Service with a cluster IP."""
    annotations = {f"aiplat.dev/{key.replace('_', '-')}": value for key, value in notes.items()}
    return {
        "metadata": meta(name, namespace, labels=labels, annotations=annotations),
        "spec": {"clusterIP": "10.43.0.9", "ports": [{"port": port}]},
    }


def release(name: str, namespace: str, status: str = "deployed", revision: int = 1) -> Document:
    """Return the Secret in which Helm keeps a revision of a release."""
    labels = {"owner": "helm", "name": name, "status": status, "version": str(revision)}
    return {"metadata": meta(f"sh.helm.release.v1.{name}.v{revision}", namespace, labels=labels)}


def closed(namespace: str) -> Document:
    """Return a policy that denies everything in a namespace."""
    return {
        "metadata": meta("default-deny", namespace),
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }
