"""Model files of the Ollama operator, on a site whose bundle holds small stand-ins for labs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.journey import SITES, Journey
from tests.patience import PATIENCE

pytestmark = [pytest.mark.lab, pytest.mark.journey]
FILES = Path(__file__).with_name("ollama-models")
NAMES = ("phi3", "llama3.1", "deepseek-r1")


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """One host without a GPU, and the three files applied to it as they are."""
    journey = make_journey("models")
    journey.bootstrap()
    for name in NAMES:
        text = (FILES / f"{name}.yaml").read_text()
        journey.on_host(f"k3s kubectl apply -f - <<'END'\n{text}\nEND")
    return journey


def phase(ward: Journey, name: str, wanted: str) -> dict[str, Any]:
    """Wait until a Model of the Ollama operator stands as wanted, and return how."""
    one = f"models.ollama.ayaka.io/{name}"
    state = f"--for=jsonpath='{{.status.phase}}'={wanted}"
    ward.on_host(f"k3s kubectl wait {one} {state} --timeout={PATIENCE - 10}s")
    return dict(json.loads(ward.on_host(f"k3s kubectl get {one} -o json"))["status"])


@pytest.mark.parametrize("name", NAMES)
def test_the_gpu_that_a_file_asks_for_is_named_as_missing(ward: Journey, name: str) -> None:
    """Nothing runs of it, and its status says what no node has."""
    assert "asks 1 nvidia.com/gpu, no node has one" in phase(ward, name, "Refused")["message"]


def test_the_same_files_serve_where_the_site_computes_what_models_need(ward: Journey) -> None:
    """With `requests: fit` all three answer under the files' names; each status says what was changed."""
    fit = replace(ward, site_file=SITES / "models-fit.yaml")
    fit.bootstrap()
    for name in NAMES:
        told = phase(fit, name, "Serving")
        assert "asked for 4 CPU, 8Gi of memory, 1 nvidia.com/gpu" in json.dumps(told["conditions"])
    with fit.platform() as client:
        for name in NAMES:
            body = {"model": name, "prompt": "1, 2, 3, 4,", "max_tokens": 4, "temperature": 0}
            answer = client.post("completions", json=body)
            assert answer.status_code == 200, answer.text
            assert answer.json()["usage"]["completion_tokens"]
