"""Objects of a cluster as the documents the API has: listed, applied by server-side apply, deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from aiplat.cluster.no_answer import reason_of
from aiplat.cluster.way import STRAIGHT, Way, go
from aiplat.errors import AiplatError, BadInput, Finding

Document = dict[str, Any]

_SECONDS = (5, 20)
_NOT_FOUND = 404
_GOOD, _GOOD_END = 200, 300
# Kind and group as they are asked for → how the API's paths call them.
_PATHS = {
    "Node": ("api/v1", "nodes"),
    "RuntimeClass": ("apis/node.k8s.io/v1", "runtimeclasses"),
    "Pod": ("api/v1", "pods"),
    "Event": ("api/v1", "events"),
    "Service": ("api/v1", "services"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "DaemonSet": ("apis/apps/v1", "daemonsets"),
    "StatefulSet": ("apis/apps/v1", "statefulsets"),
    "Job": ("apis/batch/v1", "jobs"),
    "CronJob": ("apis/batch/v1", "cronjobs"),
    "PersistentVolume": ("api/v1", "persistentvolumes"),
    "PersistentVolumeClaim": ("api/v1", "persistentvolumeclaims"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "Namespace": ("api/v1", "namespaces"),
    "ConfigMap": ("api/v1", "configmaps"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "ResourceQuota": ("api/v1", "resourcequotas"),
    "LimitRange": ("api/v1", "limitranges"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "Team.aiplat.dev": ("apis/aiplat.dev/v1alpha1", "teams"),
    "Model.aiplat.dev": ("apis/aiplat.dev/v1alpha1", "models"),
    "Model.ollama.ayaka.io": ("apis/ollama.ayaka.io/v1", "models"),
}
_CLUSTER_WIDE = {"Node", "RuntimeClass", "Namespace", "PersistentVolume", "Team.aiplat.dev"}


@dataclass(frozen=True)
class LogQuery:
    """Which lines of a container's log; `previous` are those of the container before its last restart.

    `most` is how many bytes are read, None: all.
    """

    container: str = ""
    tail: int | None = None
    since_seconds: int | None = None
    follow: bool = False
    previous: bool = False
    most: int | None = None

    def parameters(self) -> dict[str, str]:
        """Return the API's words for it."""
        numbers = {"tailLines": self.tail, "sinceSeconds": self.since_seconds, "limitBytes": self.most}
        words = {name: str(number) for name, number in numbers.items() if number is not None}
        flags = {"follow": self.follow, "previous": self.previous, "timestamps": True}
        words |= {name: "true" for name, wanted in flags.items() if wanted}
        return words | ({"container": self.container} if self.container else {})


class Refused(AiplatError):
    """The API answered, and said no; `status` is its HTTP status."""

    def __init__(self, finding: Finding, status: int) -> None:
        super().__init__(finding)
        self.status = status


class NoAnswer(AiplatError):
    """The API could not be asked."""


def kind_of(document: Document) -> str:
    """Return the kind of a document as this module calls it: aiplat's own and Models with their group."""
    kind, group = str(document["kind"]), str(document["apiVersion"]).partition("/")[0]
    return f"{kind}.{group}" if kind in {"Model", "Team"} else kind


class RawObjects:
    """Reads and writes documents; every write is a server-side apply under one manager's name."""

    def __init__(self, api: client.ApiClient, manager: str) -> None:
        self._api, self._manager = api, manager

    @classmethod
    def in_cluster(cls, manager: str) -> RawObjects:
        """Return the objects of the cluster in which this process is a pod.

        Raises:
            BadInput: this process is not a pod with an account.
        """
        settings = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=settings)
        except ConfigException as error:
            raise BadInput(Finding("service account", str(error), "name a --kubeconfig")) from error
        return cls(_client(settings), manager)

    @classmethod
    def of_kubeconfig(cls, kubeconfig: Path, manager: str, way: Way = STRAIGHT) -> RawObjects:
        """Return the objects of the cluster that a kubeconfig leads to.

        Raises:
            BadInput: there is none, or it leads nowhere.
            AiplatError: there is no way to it.
        """
        settings = client.Configuration()
        try:
            config.load_kube_config(str(kubeconfig), client_configuration=settings)
        except (ConfigException, OSError, ValueError, TypeError) as error:
            fix = "run `aiplat bootstrap`, which fetches it again"
            raise BadInput(Finding(str(kubeconfig), f"is not a kubeconfig: {error}", fix)) from error
        go(settings, way)
        return cls(_client(settings), manager)

    def listed(
        self, kind: str, namespace: str = "", selector: str = "", *, fields: str = "", most: int = 0
    ) -> list[Document]:
        """Return every object of a kind, of one namespace or all, that selectors of labels and fields find.

        `most` is how many at the most, in the API's own order; 0: all.

        Raises:
            Refused, NoAnswer: the API does not say.
        """
        query = {"labelSelector": selector} if selector else {}
        query |= {"fieldSelector": fields} if fields else {}
        query |= {"limit": str(most)} if most else {}
        found = self._ask("GET", _path(kind, namespace), query)
        # Items of a list do not say what they are, and what is passed on should.
        about = {"apiVersion": found["apiVersion"], "kind": str(found["kind"]).removesuffix("List")}
        return [about | item for item in found.get("items") or []]

    def each(self, kind: str, *, page: int) -> Iterator[Document]:
        """Yield every object of a kind in all namespaces, of which no more than `page` are held at once.

        Raises:
            Refused, NoAnswer: the API does not say.
        """
        query = {"limit": str(page)}
        while True:
            found = self._ask("GET", _path(kind, ""), query)
            yield from found.get("items") or []
            if not (further := found.get("metadata", {}).get("continue")):
                return
            query["continue"] = further

    def read(self, kind: str, namespace: str, name: str) -> Document | None:
        """Return one object, or None where there is none.

        Raises:
            Refused, NoAnswer: the API does not say.
        """
        try:
            return self._ask("GET", f"{_path(kind, namespace)}/{name}", {})
        except Refused as refused:
            if refused.status == _NOT_FOUND:
                return None
            raise

    def apply(self, document: Document, subresource: str = "") -> Document:
        """Make an object as `document` says, fields it does not name left to others; return all of it.

        Raises:
            Refused, NoAnswer: the API does not take it.
        """
        meta = document["metadata"]
        path = f"{_path(kind_of(document), meta.get('namespace', ''))}/{meta['name']}"
        query = {"fieldManager": self._manager, "force": "true"}
        path += f"/{subresource}" if subresource else ""
        return self._ask("PATCH", path, query, document)

    def delete(self, kind: str, namespace: str, name: str, uid: str = "") -> bool:
        """Delete an object and what it owns, only while it is the one with `uid`; whether there was one.

        Raises:
            Refused, NoAnswer: the API does not do it.
        """
        options: Document = {"propagationPolicy": "Background"}
        options |= {"preconditions": {"uid": uid}} if uid else {}
        try:
            self._ask("DELETE", f"{_path(kind, namespace)}/{name}", {}, options)
        except Refused as refused:
            if refused.status == _NOT_FOUND:
                return False
            raise
        return True

    def token(self, namespace: str, account: str, seconds: int) -> str:
        """Return a token of a service account that ends after some seconds, or sooner with its account.

        Raises:
            Refused, NoAnswer: the API does not give one.
        """
        path = f"{_path('ServiceAccount', namespace)}/{account}/token"
        wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        given = self._ask("POST", path, {}, {**wanted, "spec": {"expirationSeconds": seconds}})
        return str(given["status"]["token"])

    def log(self, namespace: str, pod: str, wanted: LogQuery) -> Iterator[str]:
        """Yield the lines that a pod's container wrote, each begun by its time; with `follow` for good.

        Raises:
            Refused, NoAnswer: the API does not say.
        """
        query, patience = wanted.parameters(), (_SECONDS[0], None if wanted.follow else _SECONDS[1])
        answer = self._send("GET", f"{_path('Pod', namespace)}/{pod}/log", query, None, patience)
        if not _GOOD <= answer.status < _GOOD_END:
            answer.read()
            raise self._refused(pod, answer)
        rest = b""
        for piece in self._pieces(pod, answer):
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
        if rest:
            yield rest.decode(errors="replace")

    @staticmethod
    def _pieces(what: str, answer: Any) -> Iterator[bytes]:
        """Yield an answer as it comes, until it breaks off or stands still for too long."""
        try:
            yield from answer.response.stream()
        except (HTTPError, OSError) as error:
            raise NoAnswer(Finding(what, f"its log broke off: {error}")) from error

    def _ask(self, method: str, path: str, query: dict[str, str], body: Document | None = None) -> Document:
        answer = self._send(method, path, query, body, _SECONDS)
        answer.read()
        if not _GOOD <= answer.status < _GOOD_END:
            raise self._refused(path, answer)
        document: Document = json.loads(answer.data or b"{}")
        return document

    def _send(
        self, method: str, path: str, query: dict[str, str], body: Document | None, seconds: Any
    ) -> Any:
        kinds = {"PATCH": "application/apply-patch+yaml"}
        headers = {"Accept": "application/json", "Content-Type": kinds.get(method, "application/json")}
        sent = json.dumps(body) if method == "PATCH" else body
        address = f"/{path}?{urlencode(query)}" if query else f"/{path}"
        try:
            request = self._api.param_serialize(
                method, address, header_params=headers, body=sent, auth_settings=["BearerToken"]
            )
            return self._api.call_api(*request, _request_timeout=seconds)
        except (ApiException, HTTPError, OSError) as error:
            where = f"Kubernetes API {self._api.configuration.host}"
            raise NoAnswer(Finding(where, f"cannot be asked: {reason_of(error)}")) from error

    @staticmethod
    def _refused(what: str, answer: Any) -> Refused:
        try:
            message = json.loads(answer.data).get("message")
        except (ValueError, AttributeError, TypeError):
            message = None
        return Refused(Finding(what, str(message or answer.reason)), answer.status)


def _client(settings: client.Configuration) -> client.ApiClient:
    # One try, soon over: who asks again knows better when.
    settings.retries = False
    return client.ApiClient(settings)


def _path(kind: str, namespace: str) -> str:
    base, plural = _PATHS[kind]
    inside = f"namespaces/{namespace}/" if namespace and kind not in _CLUSTER_WIDE else ""
    return f"{base}/{inside}{plural}"
