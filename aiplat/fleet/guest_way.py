"""The way to a platform in an existing cluster: its gateway's port comes by Kubernetes' API."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from aiplat.cluster.client import Cluster
from aiplat.cluster.objects import Service
from aiplat.cluster.port_forward import ForwardedPort
from aiplat.cluster.way import End
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.site.models import Host, Site

GATEWAY_NAMESPACE = "aiplat-access"
GATEWAY_OUTSIDE = "gateway-outside"
"""The Service that the role plane_release makes for others than pods, where the site asks for one."""
GATEWAY_PODS = "app.kubernetes.io/name=gateway"
GATEWAY_PORT = 8443
_LOOK_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 1.0
_TRIES = 12


def gateway_outside(services: Iterable[Service]) -> Service | None:
    """Return the Service among a cluster's that offers the gateway outside, None where there is none."""
    return next((s for s in services if (s.namespace, s.name) == (GATEWAY_NAMESPACE, GATEWAY_OUTSIDE)), None)


def door_of(cluster: Cluster) -> Service | None:
    """Return the Service of a cluster that offers the gateway outside, None where there is none.

    Raises:
        ClusterUnreachable: the cluster does not say.
    """
    return gateway_outside(cluster.services(f"app.kubernetes.io/name={GATEWAY_OUTSIDE}"))


def given_address(cluster: Cluster) -> str:
    """Return the address that a load balancer gave the gateway, empty where none did.

    Raises:
        ClusterUnreachable: the cluster does not say.
    """
    door = door_of(cluster)
    return door.given if door else ""


def wait_for_address(cluster: Cluster, seconds: float) -> str:
    """Wait until a load balancer gave the gateway an address, and return it; empty if none did.

    Raises:
        ClusterUnreachable: the cluster does not say.
    """
    deadline = time.monotonic() + seconds
    while not (address := given_address(cluster)) and time.monotonic() < deadline:
        time.sleep(_LOOK_AGAIN_SECONDS)
    return address


class GuestWay:
    """Leads from the site's endpoint to a pod of its gateway; all else is reached as it is.

    An endpoint that the site names itself is somebody's load balancer, and is reached as it is too.
    """

    def __init__(self, site: Site, *, always: bool = False) -> None:
        self._site = site
        self._forwards = always or not site.cluster.endpoint
        self._gateway: ForwardedPort | None = None
        self._lock = threading.Lock()

    def to(self, address: str, port: int) -> End:
        """Return where a port of an address is reached.

        Raises:
            AiplatError: no pod of the gateway is ready, or the cluster cannot be asked.
        """
        if not self._forwards or address != self._site.endpoint:
            return address, port
        with self._lock:
            if self._gateway is None:
                cluster = Cluster.of_site(self._site.name)
                self._gateway = ForwardedPort(cluster, GATEWAY_NAMESPACE, GATEWAY_PODS, GATEWAY_PORT)
        # Said now, and not by a connection that ends at once.
        self._gateway.find()
        return self._gateway.end

    def to_ssh(self, host: Host) -> End:
        """There are no hosts.

        Raises:
            BadInput: always.
        """
        problem = "is in a cluster that aiplat did not make, and has no hosts"
        raise BadInput(Finding(f"site {self._site.name}", problem, f"reach {host.name} in another way"))

    @property
    def holds(self) -> bool:
        """Whether a port is brought here."""
        return self._gateway is not None

    def wait(self) -> AiplatError:
        """Wait until no pod of the gateway has been ready for a while, and return that."""
        tries = 0
        while True:
            time.sleep(_LOOK_SECONDS)
            try:
                self.to(self._site.endpoint, GATEWAY_PORT)
                tries = 0
            except AiplatError as error:
                tries += 1
                if tries >= _TRIES:
                    return error

    def close(self) -> None:
        """Take no further connections."""
        with self._lock:
            if self._gateway is not None:
                self._gateway.close()
            self._gateway = None


_ways: dict[tuple[str, str], GuestWay] = {}
_opening = threading.Lock()


def guest_way(site: Site) -> GuestWay:
    """Return the way to a site; what it opens stays open for whoever asks next."""
    key = (site.name, site.endpoint)
    with _opening:
        return _ways.setdefault(key, GuestWay(site))
