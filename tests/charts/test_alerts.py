"""Every alert rule is explained and was fired once; promtool runs the recordings in the journey `metrics`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
RULES = ROOT / "charts/platform/prometheus/chart/files/rules"
RECORDINGS = Path(__file__).parent / "alerts"
RUNBOOK = ROOT / "docs/how-to/alerts.md"
OPTIONAL = ("alertmanager", "gpu-operator", "kube-state-metrics", "llama-cpp", "postgres-exporter", "vllm")
NAMES = sorted(p.name for p in RULES.glob("*.yaml"))


def read(path: Path) -> dict[str, Any]:
    """Return a YAML file."""
    return dict(YAML(typ="safe", pure=True).load(path))


def rules(name: str) -> dict[str, dict[str, Any]]:
    """Return the rules of a file by their alerts."""
    return {rule["alert"]: rule for group in read(RULES / name)["groups"] for rule in group["rules"]}


def sections() -> dict[str, str]:
    """Return the runbook's sections by their titles."""
    parts = re.split(r"^### (\w+)$", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_says_what_it_is(name: str) -> None:
    """Severity, one line, a sentence, and where the runbook has it."""
    for alert, rule in rules(name).items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, alert
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, alert
        assert rule["annotations"]["runbook"] == f"docs/how-to/alerts.md#{alert.lower()}"


def test_the_runbook_has_every_rule_and_no_other() -> None:
    """Each section has the alert's summary and severity, a cause, a command, and what clears it."""
    every = {alert: rule for name in NAMES for alert, rule in rules(name).items()}
    assert sorted(sections()) == sorted(every)
    for alert, text in sections().items():
        rule = every[alert]
        assert f"{rule['annotations']['summary']}. Severity: `{rule['labels']['severity']}`." in text, alert
        assert "\nCause: " in text, alert
        assert "\n    " in text, alert
        assert "\nClears: " in text, alert


def test_a_command_of_the_runbook_needs_no_more_than_a_site_has() -> None:
    """What it looks at is installed by a chart, and `kubectl top` is not: metrics-server is on request."""
    commands = [line for text in sections().values() for line in re.findall(r"^ {4}(\S.*)$", text, re.M)]
    assert not [command for command in commands if re.search(r"kubectl .*\btop\b", command)]
    named = {
        (namespace, kind, name)
        for command in commands
        for namespace, kind, name in re.findall(r"-n (aiplat-\S+) \S+ (deployment)/(\S+)", command)
    }
    named |= {
        (namespace, "statefulset", name)
        for command in commands
        for namespace, name in re.findall(r"-n (aiplat-\S+) (?:exec|logs) (\S+)-0\b", command)
    }
    assert len(named) > 5
    assert named <= {
        (document["metadata"]["namespace"], document["kind"].lower(), document["metadata"]["name"])
        for path in (Path(__file__).parent / "golden").glob("*.yaml")
        for document in YAML(typ="safe", pure=True).load_all(path)
        if document and document["kind"] in {"Deployment", "StatefulSet"}
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_has_a_recording_on_which_it_fires_and_one_on_which_it_does_not(name: str) -> None:
    """A rule that nobody has seen fire may never do it; one that always fires says nothing."""
    recorded = read(RECORDINGS / name)
    assert recorded["rule_files"] == [f"RULES/{name}"]
    cases = [case for test in recorded["tests"] for case in test["alert_rule_test"]]
    fired = [case["alertname"] for case in cases if case["exp_alerts"]]
    silent = [case["alertname"] for case in cases if not case["exp_alerts"]]
    assert sorted(fired) == sorted(silent) == sorted(rules(name))


def test_there_are_alerts_for_what_can_go_wrong() -> None:
    """The pattern above finds files."""
    optional = [f"when-{name}.yaml" for name in OPTIONAL]
    always = ["gateway.yaml", "kubernetes.yaml", "node.yaml", "prometheus.yaml"]
    assert always + optional == NAMES
