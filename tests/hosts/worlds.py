"""Facts of hosts for tests: one that is well, what differs on a second, and facts laid over others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

HERE = Path(__file__).parent
WELL: dict[str, Any] = YAML(typ="safe", pure=True).load(HERE / "well.yaml")
AGENT: dict[str, Any] = {
    "hostname": "desk-2",
    "machine_id": "5d1219c7c4c5404aaa1f6d2a48adfd02",
    "product_uuid": "4c4c4544-0001-4c10-8032-b3c04f000002",
    "links": [{"name": "enp1s0", "mac": "52:54:00:00:00:02", "addresses": ["10.0.0.12/24"]}],
    "peers": {"10.0.0.11:6443": "closed"},
}


def changed(facts: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return facts with others laid over them; maps are joined, all else is replaced."""
    joined = {
        name: changed(facts[name], value)
        if isinstance(value, dict) and isinstance(facts.get(name), dict)
        else value
        for name, value in change.items()
    }
    return {**facts, **joined}
