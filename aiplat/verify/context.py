"""What checks look at: the site, its cluster and its gateway, each asked once and remembered."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import httpx

from aiplat.catalog.artifacts import Lock
from aiplat.catalog.lockfile import read_lock
from aiplat.cluster.client import Cluster
from aiplat.cluster.objects import HelmRelease, NetworkPolicy, Node, Pod, Service, Workload
from aiplat.cluster.way import STRAIGHT, Way, request_hooks
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.site.addresses import in_url
from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.vault.store import read_secrets

Answer = TypeVar("Answer")
Disks = Callable[[], Sequence[Finding] | None]
"""Returns what is full on the hosts; None where no host could be asked."""

OWN_NAMESPACES = "aiplat-"
_HTTP_SECONDS = 20.0


class CheckContext:
    """One look at a site; everything is asked when first needed, and only once."""

    def __init__(self, site: Site, way: Way = STRAIGHT, disks: Disks = lambda: None) -> None:
        self.site, self.way, self.disks = site, way, disks
        self._known: dict[str, Any] = {}
        self._lock = threading.RLock()

    def _once(self, name: str, ask: Callable[[], Answer]) -> Answer:
        # Checks run side by side; without the lock each would ask the cluster for the same list.
        with self._lock:
            if name not in self._known:
                self._known[name] = _answer_or_error(ask)
            known: Answer | AiplatError = self._known[name]
        if isinstance(known, AiplatError):
            raise known
        return known

    @property
    def cluster(self) -> Cluster:
        """The site's cluster, which has answered.

        Raises:
            BadInput: there is no kubeconfig yet.
            ClusterUnreachable: the API does not answer; it is not waited for a second time.
        """
        self._once("version", self._ask_version)
        return self._once("cluster", self._find_cluster)

    @property
    def version(self) -> str:
        """Kubernetes' version."""
        return self._once("version", self._ask_version)

    def _ask_version(self) -> str:
        return self._once("cluster", self._find_cluster).version()

    def _find_cluster(self) -> Cluster:
        return Cluster.of_site(self.site.name, self.way)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The cluster's nodes."""
        return self._once("nodes", self.cluster.nodes)

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """All workloads of the cluster."""
        return self._once("workloads", self.cluster.workloads)

    @property
    def pods(self) -> tuple[Pod, ...]:
        """All pods of the cluster."""
        return self._once("pods", self.cluster.pods)

    @property
    def services(self) -> tuple[Service, ...]:
        """All Services of the cluster."""
        return self._once("services", self.cluster.services)

    @property
    def releases(self) -> tuple[HelmRelease, ...]:
        """All Helm releases."""
        return self._once("releases", self.cluster.releases)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that are the platform's own."""
        every = self._once("namespaces", self.cluster.namespaces)
        return tuple(sorted(n for n in every if n.startswith(OWN_NAMESPACES)))

    @property
    def policies(self) -> tuple[NetworkPolicy, ...]:
        """All network policies."""
        return self._once("policies", self.cluster.network_policies)

    @property
    def lock(self) -> Lock | None:
        """The site's lock as it was installed, None before that."""
        path = site_dir(self.site.name) / "lock.yaml"
        return self._once("lock", lambda: read_lock(path) if path.exists() else None)

    @property
    def key(self) -> str | None:
        """The site's API key; None where there are no secrets yet or they cannot be opened."""

        def ask() -> str | None:
            try:
                secrets = read_secrets(self.site.name)
            except BadInput:
                return None
            return secrets.key_in_use if secrets else None

        return self._once("key", ask)

    @property
    def tls(self) -> ssl.SSLContext:
        """What trusts the site CA and nobody else.

        Raises:
            OSError: there is no site CA yet.
        """
        authority = site_dir(self.site.name) / "ca.crt"
        return self._once("tls", lambda: ssl.create_default_context(cafile=str(authority)))

    def platform(self, *, with_key: bool) -> httpx.Client:
        """Return a client of the platform's URL, without `/v1`; the caller closes it.

        Raises:
            AiplatError: there is no way there.
        """
        headers = {"Authorization": f"Bearer {self.key}"} if with_key and self.key else {}
        url = f"https://{in_url(self.site.endpoint)}"
        return httpx.Client(
            base_url=url,
            headers=headers,
            verify=self.tls,
            timeout=_HTTP_SECONDS,
            trust_env=False,
            event_hooks=request_hooks(url, self.way),
        )


def _answer_or_error(ask: Callable[[], Answer]) -> Answer | AiplatError:
    try:
        return ask()
    except AiplatError as error:
        return error
