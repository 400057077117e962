"""What components take on one host, measured and written down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.footprint import Size, beside_kubernetes, page, sizes
from tests.e2e.journey import Journey
from tests.patience import until

pytestmark = [pytest.mark.lab, pytest.mark.journey]
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "footprint.md"
GOAL = 1200 << 20
"""Bytes that the default site may take beside Kubernetes and its model, on one host with two processors."""


def all_measured(found: list[Size]) -> list[Size]:
    """Return them, or nothing while one of them takes no memory yet."""
    return found if all(size.memory for size in found) else []


@pytest.fixture(scope="module")
def found(make_journey: Callable[[str], Journey]) -> list[Size]:
    """A host with everything that people look at, and what its pods take; the page is written."""
    journey = make_journey("footprint")
    assert [c["sentence"] for c in journey.bootstrap()["checks"] if c["result"] == "FAIL"] == []
    node = f"{journey.name}-s1"
    # The kubelet measures a new pod some seconds after its start.
    measured = until(lambda: all_measured(sizes(journey.on_host, node)), pause=5)
    machine = journey.on_host('. /etc/os-release; echo "$PRETTY_NAME, $(nproc) processors"').strip()
    PAGE.write_text(page(measured, machine))
    return measured


def test_every_pod_is_somebodys(found: list[Size]) -> None:
    """Nothing is measured that no component answers for, and everything is measured."""
    assert [s.component for s in found if s.component == "others"] == []
    assert [s.component for s in found if not s.memory] == []


def test_the_default_site_fits_beside_kubernetes_and_the_model(found: list[Size]) -> None:
    """What everybody has leaves room for models on a small machine."""
    assert beside_kubernetes(found) < GOAL
