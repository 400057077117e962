"""An API server for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aiplat.cluster.client import Cluster
from tests.cluster.kube import Kube


@pytest.fixture
def kube() -> Iterator[Kube]:
    """An empty cluster."""
    with Kube() as kube:
        yield kube


@pytest.fixture
def cluster(kube: Kube, tmp_path: Path) -> Cluster:
    """The client of that cluster."""
    kube.write_kubeconfig(tmp_path / "kubeconfig")
    return Cluster(tmp_path / "kubeconfig")
