"""A release that is waited for in vain says what its pods say."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.roles.conftest import load_module

SANDBOX = (
    'Failed to create pod sandbox: failed to get sandbox image "rancher/mirrored-pause:3.6": '
    "rancher/mirrored-pause:3.6: not found"
)
ENGINE: dict[str, Any] = {
    "metadata": {"name": "ollama-0"},
    "status": {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}],
    },
}
GATEWAY: dict[str, Any] = {
    "metadata": {"name": "gateway-1"},
    "status": {
        "phase": "Pending",
        "containerStatuses": [
            {
                "name": "main",
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image x"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
            }
        ],
    },
}
UNSCHEDULED: dict[str, Any] = {
    "metadata": {"name": "db-0"},
    "status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "no node fits"}]},
}
WELL: dict[str, Any] = {
    "metadata": {"name": "well"},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}


def event(pod: str, reason: str, message: str, time: str, kind: str = "Warning") -> dict[str, Any]:
    """Return what the cluster recorded about a pod."""
    return {
        "type": kind,
        "reason": reason,
        "message": message,
        "lastTimestamp": time,
        "involvedObject": {"name": pod},
    }


EVENTS = [
    event("ollama-0", "FailedCreatePodSandBox", "an older cause", "2026-01-01T00:00:01Z"),
    event("ollama-0", "FailedCreatePodSandBox", SANDBOX, "2026-01-01T00:00:09Z"),
    event("ollama-0", "Scheduled", "fine", "2026-01-01T00:00:10Z", "Normal"),
    event("well", "Unhealthy", "was slow once", "2026-01-01T00:00:11Z"),
]


def troubles(monkeypatch: pytest.MonkeyPatch, *pods: dict[str, Any]) -> str:
    """Return what is said about pods of a namespace."""
    load_module("plane_release/library/helm_releases.py")
    module = sys.modules["ansible.module_utils.aiplat_pods"]
    answers = {"pods": list(pods), "events": EVENTS}
    monkeypatch.setattr(module, "kubectl", lambda _verb, kind, *_more: json.dumps({"items": answers[kind]}))
    return str(module.pod_troubles("aiplat-model"))


def test_an_image_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest event of a kind is said, and nothing about pods that run."""
    assert troubles(monkeypatch, ENGINE, WELL) == f"ollama-0: FailedCreatePodSandBox: {SANDBOX}"


def test_pods_say_why_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scheduling, pulling and an end for want of memory are each a sentence."""
    said = troubles(monkeypatch, GATEWAY, UNSCHEDULED)
    assert said == (
        "gateway-1: ImagePullBackOff Back-off pulling image x; gateway-1: main ended, OOMKilled 137; "
        "db-0: not scheduled: no node fits"
    )
    assert troubles(monkeypatch, WELL) == ""


def test_a_release_that_does_not_come_up_names_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Helm alone says that time ran out."""
    module = load_module("plane_release/library/helm_releases.py")

    def too_long(*_arguments: Any) -> None:
        raise module.HostProblem("context deadline exceeded")

    monkeypatch.setattr(module, "wait_for", too_long)
    monkeypatch.setattr(module, "chart_of", lambda _release: "chart")
    monkeypatch.setattr(module, "pod_troubles", lambda namespace: f"{namespace}: image not found")
    release = {"name": "ollama", "namespace": "aiplat-model", "inputs": "i", "values": "", "secret_names": []}
    with pytest.raises(
        module.HostProblem, match="deadline exceeded; aiplat-model: image not found; it is left"
    ):
        module.upgrade(release, [])
