"""Hosts of each family of systems, as they are installed: what is said of them, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.hosts.check import HostNeeds, SeenHost
from aiplat.hosts.facts import HostLook
from aiplat.hosts.judge import judge
from tests.hosts.worlds import WELL, changed

FAMILIES: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(Path(__file__).parent / "families.yaml")


@pytest.mark.parametrize("case", FAMILIES, ids=lambda case: case["name"])
def test_a_system_as_it_is_installed_is_judged(case: dict[str, Any]) -> None:
    """Every trouble of such a host is named, the worst first, and no other is."""
    look = HostLook.model_validate(changed(WELL, case["change"]))
    (verdict,) = judge([SeenHost("s1", look, HostNeeds("desk", "server", "10.0.0.11"))])
    assert [trouble.check for trouble in verdict.troubles] == case["troubles"]
    assert all(trouble.fix for trouble in verdict.troubles)
