"""Every test has upstreams of its own, and nothing of this machine's own way to the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aiplat.site.models import Upstream
from aiplat.supply.upstream.http import HttpClient, Patience
from tests.upstreams import orders
from tests.upstreams.conftest import net  # noqa: F401 - a fixture
from tests.upstreams.orders import Desk
from tests.upstreams.server import Upstreams

SHORT = Patience(tries=3, connect=5, stall=0.5, first=0.001, longest=0.01, asked=1)


@pytest.fixture(autouse=True)
def no_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take proxies and CAs out of the environment, and give state and cache folders of the test's own."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def reached(net: Upstreams) -> Upstream:  # noqa: F811 - the fixture of that name
    """Return settings by which the test's upstreams are found under their own names."""
    return Upstream.model_validate({"proxy": net.proxy, "ca": net.ca})


@pytest.fixture
def http(reached: Upstream) -> Iterator[HttpClient]:
    """Return what asks them, with little patience."""
    one = HttpClient(reached, SHORT)
    yield one
    one.close()


@pytest.fixture
def asking(net: Upstreams) -> Callable[..., HttpClient]:  # noqa: F811 - the fixture of that name
    """Return a function that makes what asks them with other settings."""

    def make(**more: Any) -> HttpClient:
        return HttpClient(Upstream.model_validate({"proxy": net.proxy, "ca": net.ca, **more}), SHORT)

    return make


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no token or log-in of this machine's user be found."""
    for name in (
        "HF_TOKEN",
        "HF_ENDPOINT",
        "HUGGING_FACE_HUB_TOKEN",
        "REGISTRY_AUTH_FILE",
        "XDG_RUNTIME_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("DOCKER_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nobody"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "nobody" / "token"))


@pytest.fixture
def desk(net: Upstreams, tmp_path: Path) -> Desk:  # noqa: F811 - the fixture of that name
    """Return a desk that orders through the test's proxy."""
    return Desk(tmp_path, orders.http(net))
