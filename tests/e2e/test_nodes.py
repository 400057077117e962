"""Three hosts of which one leaves: refused while it is only unnamed, removed by its verb, and back again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.journey import Journey

pytestmark = [pytest.mark.lab, pytest.mark.journey]


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """Three hosts, bootstrapped."""
    journey = make_journey("agents")
    journey.bootstrap()
    return journey


def test_a_host_that_is_no_longer_named_leaves_and_may_come_back(ward: Journey, tmp_path: Path) -> None:
    """The plan refuses until the node has left; then nothing is left to do, and the same host joins again."""
    file = tmp_path / "site.yaml"
    lines = ward.site_file.read_text().splitlines()
    file.write_text("\n".join(line for line in lines if "t-agents-a2" not in line))
    refused = ward.aiplat("plan", str(file), expect=2)
    assert "t-agents-a2 is a node of the cluster and no host of the site" in refused.stderr
    removal = ("node", "remove", "t-agents-a2", str(ward.site_file), "--yes", "--json")
    assert ward.lines(*removal)[-1]["changed"] > 0
    assert (
        ward.on_host("k3s kubectl get nodes -o name").split()
        == ["node/t-agents-s1", "node/t-agents-a1"][::-1]
    )
    assert ward.on_host("ls /usr/local/bin", host="t-agents-a2") == ""
    assert "nothing to do" in ward.aiplat("plan", str(file)).stdout
    assert ward.bootstrap()["changed"] > 0
    assert ward.on_host("k3s kubectl get nodes -o name").count("node/") == 3
