"""What Model objects of either kind ask for, in one form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiplat.services.operator.model_spec import model_spec_of

CRD = Path(__file__).parents[3] / "charts/model/operator/chart/templates/crd-ollama-models.yaml"
# Every field of spec in the Ollama operator's own definition (its JSON names, v0.10 of 2026-03).
FIELDS = (
    *("replicas", "image", "imagePullPolicy", "imagePullSecrets", "resources", "storageClassName"),
    *(
        "persistentVolumeClaim",
        "persistentVolume",
        "runtimeClassName",
        "extraEnvFrom",
        "extraEnv",
        "podTemplate",
    ),
)


def of_ollama(**spec: Any) -> dict[str, Any]:
    """Return a Model of the Ollama operator."""
    meta = {"name": "coder.small", "namespace": "team-a"}
    return {
        "apiVersion": "ollama.ayaka.io/v1",
        "kind": "Model",
        "metadata": meta,
        "spec": {"image": "phi3", **spec},
    }


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_the_ollama_operator_is_taken(field: str) -> None:
    """Kubectl refuses a whole file for one field that the definition does not have."""
    assert f"\n                {field}:" in CRD.read_text()


def test_variables_of_ollama_are_settings() -> None:
    """Context and parallel requests can be said as Ollama's own variables; others change nothing."""
    env = [
        {"name": "OLLAMA_CONTEXT_LENGTH", "value": "8192"},
        {"name": "OLLAMA_NUM_PARALLEL", "value": "4"},
        {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
    ]
    model_spec = model_spec_of(of_ollama(extraEnv=env))
    assert (model_spec.context_length, model_spec.parallel) == (8192, 4)


@pytest.mark.parametrize("value", ["many", "-1", "0", "", None])
def test_a_variable_without_a_number_changes_nothing(value: str | None) -> None:
    """What is not a positive number is as if it were not there."""
    model_spec = model_spec_of(of_ollama(extraEnv=[{"name": "OLLAMA_NUM_PARALLEL", "value": value}]))
    assert model_spec.parallel is None
