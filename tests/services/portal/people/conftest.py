"""A portal with a real Canaille that keeps its people; each module of tests has one of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.api.conftest import People
from tests.services.gateway.engine import Engine
from tests.services.portal.conftest import Site
from tests.services.portal.wards import CLIENT, OTHER, Served, Ward, served_by, warded
from tests.services.signin.canaille import configured, serving


@pytest.fixture(scope="module")
def canaille(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a real Canaille lets programs manage people; each test makes people of its own."""
    with serving(configured(tmp_path_factory.mktemp("canaille"), [CLIENT, OTHER])) as url:
        yield url


@pytest.fixture
def ward(site: Site, canaille: str) -> Iterator[Ward]:
    """A portal in front of the gateway, with a sign-in."""
    with warded(site, canaille) as ward:
        yield ward


@pytest.fixture
def served(people: People, engine: Engine, canaille: str, tmp_path: Path) -> Iterator[Served]:
    """They share a database, as in a site."""
    with served_by(people, engine, canaille, tmp_path) as served:
        yield served
