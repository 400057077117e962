"""The planes from the inside: pods that are tried and connections between them, by the Kubernetes API."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

from aiplat.cluster.client import Cluster
from aiplat.cluster.objects import Pod

PodSpec = dict[str, Any]
CONNECT = "timeout 3 bash -c 'exec 3<>/dev/tcp/{host}/{port}' 2>/dev/null; echo ended:$?"


class Planes:
    """A cluster's planes, seen by its administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        self.cluster = Cluster(kubeconfig)
        self._api = config.new_client_from_config(config_file=str(kubeconfig))
        self._core, self._network = client.CoreV1Api(self._api), client.NetworkingV1Api(self._api)

    def pod_spec(self, namespace: str, selector: str) -> PodSpec:
        """Return what a running pod was made from, without what the cluster added."""
        pod = self._core.list_namespaced_pod(namespace, label_selector=selector).items[0]
        spec: PodSpec = self._api.sanitize_for_serialization(pod.spec)
        injected = {v["name"] for v in spec["volumes"] if v["name"].startswith("kube-api-access")}
        spec["volumes"] = [v for v in spec["volumes"] if v["name"] not in injected]
        for container in spec["containers"]:
            container["volumeMounts"] = [m for m in container["volumeMounts"] if m["name"] not in injected]
        return {k: v for k, v in spec.items() if k not in {"nodeName", "serviceAccount"}}

    def refusal(self, namespace: str, spec: PodSpec, change: Callable[[PodSpec], object]) -> str:
        """Return why the API refuses a pod after a change to its spec; empty when it would take it."""
        tried = copy.deepcopy(spec)
        change(tried)
        body: Any = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried"}, "spec": tried}
        try:
            self._core.create_namespaced_pod(namespace, body, dry_run="All")
        except ApiException as error:
            return str(error.body)
        return ""

    @contextmanager
    def client_pod(self, namespace: str, like: PodSpec) -> Iterator[Pod]:
        """Run a pod that may connect to anywhere, as far as its own plane is concerned."""
        name = f"client-{uuid.uuid4().hex[:6]}"
        labels = {"app.kubernetes.io/name": name}
        policy = {"podSelector": {"matchLabels": labels}, "policyTypes": ["Egress"], "egress": [{}]}
        meta = {"name": name, "labels": labels}
        body: Any = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta}
        self._network.create_namespaced_network_policy(namespace, body | {"spec": policy})
        try:
            spec = self._idle(like)
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
            self._core.create_namespaced_pod(namespace, body)
            self._until_it_runs(namespace, name)
            yield next(p for p in self.cluster.pods(namespace) if p.name == name)
        finally:
            self._core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
            self._network.delete_namespaced_network_policy(name, namespace)

    @staticmethod
    def _idle(like: PodSpec) -> PodSpec:
        first = like["containers"][0]
        kept = {key: first[key] for key in ("image", "resources", "securityContext")}
        container = {"name": "client", "command": ["sleep", "600"], **kept}
        return {
            "containers": [container],
            "securityContext": like["securityContext"],
            "automountServiceAccountToken": False,
        }

    def _until_it_runs(self, namespace: str, name: str) -> None:
        events = watch.Watch()
        listed = self._core.list_namespaced_pod
        for event in events.stream(
            listed, namespace, field_selector=f"metadata.name={name}", timeout_seconds=90
        ):
            if event["object"].status.phase == "Running":
                events.stop()
                return
        raise AssertionError(f"pod {name} does not run")

    def connects(self, pod: Pod, host: str, port: int) -> bool:
        """Whether a TCP connection from a pod is accepted."""
        ran = self.cluster.run_in_pod(pod, ["bash", "-c", CONNECT.format(host=host, port=port)])
        ended = ran.output.rpartition("ended:")[2].strip()
        assert ended.isdigit(), ran.output
        return ended == "0"

    def sql(self, statement: str) -> str:
        """Run a statement in the site's database and return what it printed."""
        pod = self.cluster.pods("aiplat-data", "app.kubernetes.io/name=postgresql")[0]
        ask = f'/usr/lib/postgresql/*/bin/psql -h /tmp -U postgres aiplat -Atc "{statement}"'
        ran = self.cluster.run_in_pod(pod, ["sh", "-c", ask])
        assert ran.code == 0, ran.output
        return ran.output.strip()

    def kill(self, namespace: str, name: str) -> None:
        """Take a pod away without any warning, and wait until its successor is ready."""
        before = self._uid(name, namespace)
        self._core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
        events = watch.Watch()
        listed = self._core.list_namespaced_pod
        for event in events.stream(
            listed, namespace, field_selector=f"metadata.name={name}", timeout_seconds=120
        ):
            pod = event["object"]
            ready = any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or [])
            if ready and pod.metadata.uid != before:
                events.stop()
                return
        raise AssertionError(f"{name} did not come back")

    def _uid(self, name: str, namespace: str) -> str:
        pod = self._core.read_namespaced_pod(name, namespace)
        return str(pod.metadata.uid) if pod.metadata else ""
