"""The site's models are waited for until the operator serves them; a refusal ends the wait."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.roles.conftest import load_module

REF = "registry.example/m:1@sha256:" + "a" * 64
MODELS = [{"slug": "m", "ref": REF}]


def model(phase: str, ref: str = REF, seen: int = 1) -> dict[str, Any]:
    """Return a Model as the cluster has it."""
    status = {"phase": phase, "image": ref, "message": f"it is {phase}", "observedGeneration": seen}
    return {"metadata": {"name": "m", "generation": 1}, "status": status}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that waits in a cluster which shows these states one after the other."""
    module: ModuleType = load_module("plane_release/library/site_models.py")
    monkeypatch.setattr(module, "pod_troubles", lambda _namespace: "m-1: cannot pull")
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)

    def wait(*states: list[dict[str, Any]], seconds: float = 600) -> list[str]:
        shown = iter(states)
        monkeypatch.setattr(module, "kubectl", lambda *_: json.dumps({"items": next(shown)}))
        try:
            done: list[str] = module.wait(MODELS, seconds)
        except module.HostProblem as problem:
            return [f"problem: {problem}"]
        return done

    return wait


def test_a_model_is_waited_for_until_it_serves(waits: Callable[..., list[str]]) -> None:
    """Not there, seen in a former form, with former weights, starting: none of it is serving."""
    before = ([], [model("Serving", seen=0)], [model("Serving", ref="other")], [model("Starting")])
    assert waits(*before, [model("Serving")]) == ["m: it is Serving"]
    assert waits([model("Idle")]) == ["m: it is Idle"]


def test_a_refusal_and_the_end_of_patience_are_said_in_the_operators_words(
    waits: Callable[..., list[str]],
) -> None:
    """At once where it never will serve; with what its pods say where time is up."""
    assert waits([model("Starting")], [model("Refused")]) == ["problem: model m: it is Refused"]
    (said,) = waits([model("Starting")], seconds=-1)
    assert "model m does not serve after" in said
    assert said.endswith("Starting: it is Starting; m-1: cannot pull")


def test_a_refusal_for_want_of_a_gpu_is_waited_out(waits: Callable[..., list[str]]) -> None:
    """Device plugins start minutes after the release that brings them; the operator then decides again."""
    refused = model("Refused")
    refused["status"]["message"] = "asks 1 nvidia.com/gpu, no node has one; add a larger node"
    assert waits([refused], [model("Serving")]) == ["m: it is Serving"]


def test_without_models_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site may serve none."""
    module = load_module("plane_release/library/site_models.py")
    monkeypatch.setattr(module, "kubectl", lambda *_: pytest.fail("nothing is to be asked"))
    assert module.wait([], 600) == []
