"""The connection to a site's cluster: lists what is there and runs a command in a pod."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.stream import stream
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from urllib3.exceptions import HTTPError

from aiplat.cluster import parse
from aiplat.cluster.no_answer import reason_of
from aiplat.cluster.objects import HelmRelease, NetworkPolicy, Node, Pod, Ran, Service, Workload
from aiplat.cluster.way import STRAIGHT, Way, go
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.state import site_dir

_SECONDS = (5, 20)


class ClusterUnreachable(AiplatError):
    """The Kubernetes API does not answer, or not to us."""


class Cluster:
    """One cluster, reached with one kubeconfig."""

    def __init__(self, kubeconfig: Path, way: Way = STRAIGHT) -> None:
        self._kubeconfig, self._way = kubeconfig, way
        self._url = ""
        self._api = self.connection()
        self._core, self._apps = client.CoreV1Api(self._api), client.AppsV1Api(self._api)

    @classmethod
    def of_site(cls, site: str, way: Way = STRAIGHT) -> Cluster:
        """Return the cluster of a site.

        Raises:
            BadInput: the site has no kubeconfig yet.
            ClusterUnreachable: there is no way to it.
        """
        path = site_dir(site) / "kubeconfig"
        if not path.exists():
            problem = "has no cluster that is known on this machine"
            raise BadInput(Finding(f"site {site}", problem, "run `aiplat bootstrap`"))
        return cls(path, way)

    def connection(self) -> client.ApiClient:
        """Return a client of its own: the functions for streams change the one they are given.

        Raises:
            BadInput: the file is not a kubeconfig.
            ClusterUnreachable: there is no way to the cluster.
        """
        settings = client.Configuration()
        try:
            document = YAML(typ="safe", pure=True).load(self._kubeconfig)
            config.load_kube_config_from_dict(document, client_configuration=settings)
        except (ConfigException, YAMLError, OSError, ValueError, TypeError) as error:
            fix = "run `aiplat bootstrap`, which fetches it again"
            raise BadInput(Finding(str(self._kubeconfig), f"is not a kubeconfig: {error}", fix)) from error
        # One try, soon over: who looks wants to know now.
        settings.retries = False
        self._url = settings.host
        try:
            go(settings, self._way)
        except AiplatError as error:
            raise ClusterUnreachable(error.findings) from error
        return client.ApiClient(settings)

    def _ask(self, question: Callable[..., Any], **query: Any) -> Any:
        try:
            answer = question(_request_timeout=_SECONDS, **query)
        except (ApiException, HTTPError, OSError) as error:
            raise self._unreachable(error) from error
        return self._api.sanitize_for_serialization(answer)

    def _items(self, question: Callable[..., Any], **query: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._ask(question, **query)["items"]
        return items

    def _unreachable(self, cause: object) -> ClusterUnreachable:
        where = f"Kubernetes API {self._url}"
        return ClusterUnreachable(
            Finding(where, f"cannot be asked: {reason_of(cause)}", "see why: `aiplat plan`")
        )

    def version(self) -> str:
        """Return Kubernetes' version, such as `v1.2.3`."""
        return str(self._ask(client.VersionApi(self._api).get_code)["gitVersion"])

    def nodes(self) -> tuple[Node, ...]:
        """Return all nodes."""
        return tuple(parse.node(d) for d in self._items(self._core.list_node))

    def workloads(self) -> tuple[Workload, ...]:
        """Return every Deployment, StatefulSet and DaemonSet."""
        lists = {
            "Deployment": self._apps.list_deployment_for_all_namespaces,
            "StatefulSet": self._apps.list_stateful_set_for_all_namespaces,
            "DaemonSet": self._apps.list_daemon_set_for_all_namespaces,
        }
        return tuple(parse.workload(kind, d) for kind, listed in lists.items() for d in self._items(listed))

    def pods(self, namespace: str = "", selector: str = "") -> tuple[Pod, ...]:
        """Return pods, of one namespace or all, that a label selector finds."""
        if namespace:
            found = self._items(self._core.list_namespaced_pod, namespace=namespace, label_selector=selector)
        else:
            found = self._items(self._core.list_pod_for_all_namespaces, label_selector=selector)
        return tuple(parse.pod(d) for d in found)

    def services(self, selector: str = "") -> tuple[Service, ...]:
        """Return the Services that a label selector finds."""
        found = self._items(self._core.list_service_for_all_namespaces, label_selector=selector)
        return tuple(parse.service(d) for d in found)

    def releases(self) -> tuple[HelmRelease, ...]:
        """Return every Helm release at its newest revision."""
        kept = self._items(
            self._core.list_secret_for_all_namespaces,
            label_selector="owner=helm",
            field_selector="type=helm.sh/release.v1",
        )
        return parse.newest_releases(kept)

    def namespaces(self) -> dict[str, dict[str, str]]:
        """Return every namespace with its labels."""
        found = (d["metadata"] for d in self._items(self._core.list_namespace))
        return {meta["name"]: meta.get("labels", {}) for meta in found}

    def network_policies(self) -> tuple[NetworkPolicy, ...]:
        """Return every network policy."""
        listed = client.NetworkingV1Api(self._api).list_network_policy_for_all_namespaces
        return tuple(parse.network_policy(d) for d in self._items(listed))

    def log(self, pod: Pod) -> str:
        """Return what a pod's container has written so far."""
        read = self._core.read_namespaced_pod_log
        return str(self._ask(read, name=pod.name, namespace=pod.namespace))

    def run_in_pod(self, pod: Pod, command: Sequence[str], seconds: float = 15) -> Ran:
        """Run a command in a pod's first container and return its exit code and output.

        Raises:
            ClusterUnreachable: the command could not be started.
        """
        own = self.connection()
        try:
            session = stream(
                client.CoreV1Api(own).connect_get_namespaced_pod_exec,
                pod.name,
                pod.namespace,
                command=list(command),
                stderr=True,
                stdout=True,
                stdin=False,
                tty=False,
                _preload_content=False,
            )
            session.run_forever(timeout=seconds)
            output = f"{session.read_stdout(timeout=1)}{session.read_stderr(timeout=1)}"
            code = session.returncode
        except (ApiException, OSError, ValueError) as error:
            raise self._unreachable(f"no command in pod {pod.name}: {error}") from error
        return Ran(code=124 if code is None else int(code), output=output)
