"""Repositories and keys of each test's own, found under upstream's names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aiplat.catalog.artifacts import Artifact
from aiplat.site.models import Upstream
from aiplat.site.systems import OsName
from aiplat.supply.upstream.http import HttpClient, Patience
from tests.upstreams.conftest import net  # noqa: F401 - a fixture
from tests.upstreams.releases import Files
from tests.upstreams.server import Upstreams
from tests.upstreams.signing import Signer

Ask = Callable[[dict[str, dict[str, bytes | Path]]], HttpClient]


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Signer]:
    """Return the key of the test's archive."""
    one = Signer(tmp_path)
    yield one
    one.stop()


@pytest.fixture
def ask(net: Upstreams) -> Ask:  # noqa: F811 - the fixture of that name
    """Return a function that makes what asks hosts, each with the files given for it."""

    def make(hosts: dict[str, dict[str, bytes | Path]]) -> HttpClient:
        mirrors = {host: net.mirror(host, Files(files)) for host, files in hosts.items()}
        patience = Patience(tries=2, connect=5, stall=2, first=0.001, longest=0.01, asked=1)
        return HttpClient(Upstream.model_validate({"mirrors": mirrors, "ca": net.ca}), patience)

    return make


def packages_for(system: OsName, arch: str = "amd64") -> Artifact:
    """Return a set of packages that is not locked yet."""
    return Artifact(
        kind="hostfile",
        name="made-packages",
        version=system,
        component="made",
        platform=f"linux/{arch}",
        os=system,
        inputs="sha256:" + "0" * 64,
    )
