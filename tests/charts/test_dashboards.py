"""Every metric that a dashboard or a rule asks for is one that its target has, by recorded expositions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.services.gateway.accounts.metrics import AccountMetrics
from aiplat.services.gateway.metrics import Metrics
from aiplat.services.gateway.routing.replicas import Pools
from aiplat.services.states.series import SERIES

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "charts/platform/prometheus"
BOARDS = sorted((PROMETHEUS / "dashboards").glob("*.json"))
RULES = sorted((PROMETHEUS / "chart/files/rules").glob("*.yaml"))
EXPOSED = Path(__file__).parent / "exposed"
UIDS = ("cost", "gateway", "gpu", "kubernetes", "models", "postgresql", "site")
# What Prometheus has of every target, or makes itself.
OWN = {"up", "ALERTS"}
_NOISE = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|ignoring|without|group_left) \([^)]*\)")
_NAME = re.compile(r"(?<![\w.])([a-zA-Z_][\w:]*)(?!\w*\s*\()")
_WORDS = {"and", "or", "unless", "bool"}


def asked(expression: str) -> set[str]:
    """Return the metrics of an expression."""
    return set(_NAME.findall(_NOISE.sub(" ", expression))) - _WORDS


def exposed() -> set[str]:
    """Return the metrics of all targets: recorded ones, and what aiplat's own services make of themselves."""
    recorded = {name for path in EXPOSED.glob("*.txt") for name in path.read_text().split()}
    recorded |= {*SERIES, "aiplat_states_left_out", "aiplat_states_object_errors"}
    metrics = Metrics()
    metrics.show_pools(Pools())
    metrics.certificate_ends(0)
    AccountMetrics(metrics.registry).show(lambda: (True, 0, 0))
    for family in metrics.registry.collect():
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        recorded |= {family.name + end for end in ends}
    return recorded | OWN


def panels(path: Path) -> list[dict[str, Any]]:
    """Return the panels of a dashboard."""
    return list(json.loads(path.read_text())["panels"])


def test_metrics_of_an_expression_are_found() -> None:
    """Functions, labels, windows and words of the language are none."""
    expression = 'sum by (le, x) (rate(a_bucket{le="1"}[5m])) / 1.5e9 > 0 and on (y) vllm:b unless c'
    assert asked(expression) == {"a_bucket", "vllm:b", "c"}


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_asks_for_what_is_there(path: Path) -> None:
    """A panel without a metric behind it would be empty for good."""
    known = exposed()
    for panel in panels(path):
        for target in panel["targets"]:
            assert asked(target["expr"]), panel["title"]
            assert asked(target["expr"]) <= known, panel["title"]


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_a_rule_asks_for_what_is_there(path: Path) -> None:
    """An alert on a metric that was renamed would never come."""
    known = exposed()
    for group in YAML(typ="safe", pure=True).load(path)["groups"]:
        for rule in group["rules"]:
            assert asked(rule["expr"]) <= known, rule["alert"]


def test_what_is_kept_of_kubernetes_is_what_is_asked_for() -> None:
    """The scrape keeps the recorded names of the API servers, and no others."""
    text = (PROMETHEUS / "chart/templates/_config.tpl").read_text()
    pattern = re.compile(re.search(r'regex: "(apiserver.*?)"\n', text, re.DOTALL)[1].replace("\\\n", ""))  # type: ignore[index]
    kept = re.compile(re.sub(r"\s+", "", pattern.pattern))
    assert all(kept.fullmatch(name) for name in (EXPOSED / "kubernetes.txt").read_text().split())


def test_dashboards_are_found_by_grafana() -> None:
    """Each has an id of its own, and lets one choose the data source."""
    found = [json.loads(path.read_text()) for path in BOARDS]
    assert {d["uid"] for d in found} == {f"aiplat-{n}" for n in UIDS}
    for board in found:
        assert board["templating"]["list"][0]["type"] == "datasource"
        assert {p["datasource"]["uid"] for p in board["panels"]} == {"${datasource}"}
