"""A port of pods on this machine, by the API's own forwarding."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from aiplat.cluster.client import Cluster
from aiplat.cluster.port_forward import ForwardedPort
from aiplat.errors import AiplatError
from tests.cluster.kube import Kube, pod
from tests.patience import PATIENCE

LABELS = {"app": "gateway"}


@pytest.fixture
def forwarded(cluster: Cluster) -> Iterator[ForwardedPort]:
    """Port 8443 of the pods of a gateway."""
    found = ForwardedPort(cluster, "ai", "app=gateway", 8443)
    yield found
    found.close()


def said(end: tuple[str, int], text: bytes) -> bytes:
    """What is answered to a text."""
    with socket.create_connection(end, timeout=PATIENCE) as connection:
        connection.sendall(text)
        return connection.recv(1000)


def test_what_is_sent_reaches_a_pod_and_comes_back(kube: Kube, forwarded: ForwardedPort) -> None:
    """Each connection has a stream of its own."""
    kube.lists["pods"] = [pod("gateway-1", "ai", LABELS, "image")]
    assert said(forwarded.end, b"hello") == b"gateway-1 8443 hello"
    assert said(forwarded.end, b"again") == b"gateway-1 8443 again"


def test_each_connection_finds_a_pod_that_is_there_then(kube: Kube, forwarded: ForwardedPort) -> None:
    """Pods come and go while the port stays."""
    kube.lists["pods"] = [pod("gateway-1", "ai", LABELS, "image")]
    assert said(forwarded.end, b"a") == b"gateway-1 8443 a"
    kube.lists["pods"] = [
        pod("gateway-2", "ai", LABELS, "image"),
        pod("other", "ai", {"app": "other"}, "image"),
    ]
    assert said(forwarded.end, b"b") == b"gateway-2 8443 b"


def test_no_ready_pod_is_said_in_words(kube: Kube, forwarded: ForwardedPort) -> None:
    """Whoever asks first where the port is learns it; a connection just ends."""
    kube.lists["pods"] = []
    with pytest.raises(AiplatError, match="no pod with app=gateway is ready"):
        forwarded.find()
    with pytest.raises(ConnectionResetError):
        said(forwarded.end, b"hello")


def test_a_closed_port_takes_no_connection(forwarded: ForwardedPort) -> None:
    """It is gone with whoever opened it."""
    forwarded.close()
    with pytest.raises(ConnectionError):
        said(forwarded.end, b"hello")
