"""What a cluster that somebody else made is like, as far as its API says; nothing of it is judged here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from aiplat.cluster.client import ClusterUnreachable
from aiplat.cluster.no_answer import reason_of
from aiplat.errors import BadInput, Finding
from aiplat.frozen import Frozen

_SECONDS = (5, 20)
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_IMAGE = "example.test/model@sha256:" + "0" * 64
"""An image that nobody has: the pod that names it is never made."""
_INVALID = 422
_SYSTEM = "kube-system"
"""Every cluster has this namespace, and none has another's uid for it."""
# As the role cluster_reset has them: the planes' namespaces, and those of teams.
_TEAM, _OPERATOR = "aiplat.dev/team", "aiplat-operator"
_MARKS = {("app.kubernetes.io/managed-by", "aiplat"), ("aiplat.dev/managed-by", "operator")}


class SeenNode(Frozen):
    """A node: its architecture, operating system, container runtime, and memory in bytes as it says it."""

    name: str
    arch: str
    system: str
    runtime: str
    memory: str


class Right(Frozen):
    """Something that has to be allowed: a verb on a resource, `group` empty for Kubernetes' core."""

    verb: str
    group: str
    resource: str

    def __str__(self) -> str:
        """Render as kubectl's `auth can-i` takes it."""
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


class SeenCluster(Frozen):
    """A cluster: what it says of itself. None: it was not said, because we may not ask.

    `identity` is what no other cluster has (empty: not said); `ours` are namespaces that aiplat marked.
    """

    server: str
    version: str
    machines: tuple[SeenNode, ...] | None
    default_classes: tuple[str, ...] | None
    daemons: tuple[str, ...] | None
    ingress_classes: tuple[str, ...] | None
    namespaces: tuple[str, ...] | None
    refused: tuple[Right, ...]
    image_volumes: bool | None
    identity: str = ""
    ours: tuple[str, ...] = ()

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of its nodes; none where they may not be listed."""
        return tuple(node.name for node in self.machines or ())


def look(kubeconfig: Path, context: str | None, rights: Sequence[Right]) -> SeenCluster:
    """Ask a cluster; nothing is changed: the one pod that is sent is a dry run of the API's own.

    A kubeconfig may name a program that gives credentials; it is run, as kubectl runs it.

    Raises:
        BadInput: the file is not a kubeconfig, or has no such context.
        ClusterUnreachable: the API does not answer, or does not let us in.
    """
    settings = client.Configuration()
    try:
        config.load_kube_config(str(kubeconfig), context=context, client_configuration=settings)
    except (ConfigException, OSError, ValueError, TypeError) as error:
        fix = "name another file or another of its contexts: kubectl config get-contexts"
        raise BadInput(Finding(str(kubeconfig), f"cannot be used: {error}", fix)) from error
    settings.retries = False
    with client.ApiClient(settings) as api:
        return _Look(api).all(settings.host, rights)


class _Look:
    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self._core = client.CoreV1Api(api)

    def all(self, server: str, rights: Sequence[Right]) -> SeenCluster:
        version = self._version(server)
        listed, apps = client.StorageV1Api(self._api).list_storage_class, client.AppsV1Api(self._api)
        classes = self._items(listed)
        spaces = self._items(self._core.list_namespace)
        daemons = self._items(apps.list_daemon_set_for_all_namespaces)
        return SeenCluster(
            server=server,
            version=version,
            machines=_each(self._items(self._core.list_node), _machine),
            default_classes=_each(None if classes is None else [c for c in classes if _is_default(c)], _name),
            daemons=_each(daemons, _name),
            ingress_classes=_each(self._items(client.NetworkingV1Api(self._api).list_ingress_class), _name),
            namespaces=_each(spaces, _name),
            refused=tuple(right for right in rights if not self._may(right)),
            image_volumes=self._takes_image_volumes(),
            identity=next((_uid(space) for space in spaces or () if _name(space) == _SYSTEM), ""),
            ours=tuple(_name(space) for space in spaces or () if _is_ours(space)),
        )

    def _version(self, server: str) -> str:
        try:
            return str(client.VersionApi(self._api).get_code(_request_timeout=_SECONDS).git_version)
        except (ApiException, HTTPError, OSError) as error:
            fix = "see whether `kubectl version` works with the same file and context"
            raise ClusterUnreachable(Finding(server, f"cannot be asked: {reason_of(error)}", fix)) from error

    def _items(self, listed: Callable[..., Any]) -> list[dict[str, Any]] | None:
        answer = self._asked(lambda: listed(_request_timeout=_SECONDS))
        return None if answer is None else list(answer["items"])

    def _asked(self, question: Callable[[], Any]) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = self._api.sanitize_for_serialization(question())
        except (ApiException, HTTPError, OSError):
            return None
        return answer

    def _may(self, right: Right) -> bool:
        attributes = {"verb": right.verb, "group": right.group, "resource": right.resource}
        review: Any = {"spec": {"resourceAttributes": attributes}}
        ask = client.AuthorizationV1Api(self._api).create_self_subject_access_review
        answer = self._asked(lambda: ask(review, _request_timeout=_SECONDS))
        return bool(answer and answer["status"].get("allowed"))

    def _takes_image_volumes(self) -> bool | None:
        """Whether a pod's volume that is an image survives the API: a feature that is off drops the field."""
        pod: Any = {
            "metadata": {"name": "aiplat-looks", "namespace": "default"},
            "spec": {
                "containers": [
                    {"name": "none", "image": _IMAGE, "volumeMounts": [{"name": "w", "mountPath": "/w"}]}
                ],
                "volumes": [{"name": "w", "image": {"reference": _IMAGE, "pullPolicy": "IfNotPresent"}}],
            },
        }
        make = self._core.create_namespaced_pod
        try:
            made = make("default", pod, dry_run="All", _request_timeout=_SECONDS)
        except ApiException as error:
            # Without the field the volume has no source at all, which is invalid.
            return False if error.status == _INVALID else None
        except (HTTPError, OSError):
            return None
        volumes = self._api.sanitize_for_serialization(made)["spec"]["volumes"]
        return any(volume.get("image") for volume in volumes)


def _each(found: list[dict[str, Any]] | None, read: Callable[[Mapping[str, Any]], Any]) -> Any:
    return None if found is None else tuple(read(one) for one in found)


def _name(document: Mapping[str, Any]) -> str:
    return str(document["metadata"]["name"])


def _uid(document: Mapping[str, Any]) -> str:
    return str(document["metadata"].get("uid", ""))


def _is_ours(document: Mapping[str, Any]) -> bool:
    meta = document["metadata"]
    # Somebody's own namespace, which they gave to a Team by that label, stays theirs.
    given = any(
        f"f:{_TEAM}" in entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:labels", {})
        for entry in meta.get("managedFields") or ()
        if entry.get("manager") != _OPERATOR
    )
    return not given and not _MARKS.isdisjoint((meta.get("labels") or {}).items())


def _is_default(document: Mapping[str, Any]) -> bool:
    return bool(document["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true")


def _machine(document: Mapping[str, Any]) -> SeenNode:
    status = document.get("status", {})
    info = status.get("nodeInfo", {})
    return SeenNode(
        name=_name(document),
        arch=info.get("architecture", ""),
        system=info.get("operatingSystem", ""),
        runtime=info.get("containerRuntimeVersion", ""),
        memory=str(status.get("allocatable", {}).get("memory", "0")),
    )
