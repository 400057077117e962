"""Brings a port of pods here by the Kubernetes API, one stream a connection; who wants it is fleet's."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any, cast

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward

from aiplat.cluster.client import Cluster
from aiplat.errors import AiplatError, Finding

_PIECE = 1 << 16
_WAITING = 32
"""Connections that may wait until they are taken."""


class ForwardedPort:
    """A port of this machine behind which a ready pod of a cluster answers; each connection finds its pod.

    Args:
        cluster: the cluster.
        namespace: where the pods are.
        selector: labels that the pods have, `name=value`.
        port: the TCP port they listen on.
    """

    def __init__(self, cluster: Cluster, namespace: str, selector: str, port: int) -> None:
        self._cluster, self._namespace, self._selector, self._port = cluster, namespace, selector, port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_WAITING)
        self.end: tuple[str, int] = ("127.0.0.1", int(self._listener.getsockname()[1]))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no further connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def find(self) -> str:
        """Return the name of a pod that is ready.

        Raises:
            AiplatError: there is none, or the cluster cannot be asked.
        """
        found = self._cluster.pods(self._namespace, self._selector)
        ready = [pod.name for pod in found if pod.ready]
        if not ready:
            problem = f"no pod with {self._selector} is ready"
            raise AiplatError(Finding(f"namespace {self._namespace}", problem, "look with `aiplat status`"))
        return ready[0]

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(taken,), daemon=True).start()

    def _pass_on(self, taken: socket.socket) -> None:
        with taken, contextlib.suppress(AiplatError, ApiException, OSError, ValueError):
            # The stream function changes the client it is given, so each has one of its own.
            ask = client.CoreV1Api(self._cluster.connection()).connect_get_namespaced_pod_portforward
            stream = portforward(ask, self.find(), self._namespace, ports=str(self._port))
            with contextlib.closing(cast("Any", stream.socket(self._port))) as there:
                back = threading.Thread(target=_copy, args=(there, taken), daemon=True)
                back.start()
                _copy(taken, there)
                back.join()


def _copy(source: Any, target: Any) -> None:
    """Pass on what comes until one side ends, and tell the other side so."""
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
