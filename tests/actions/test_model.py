"""What an order becomes; declaring it is tried in the lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.actions.model import ModelOrder, list_models, manifest_of, object_name
from aiplat.errors import BadInput
from aiplat.site.models import Site


def test_an_order_names_only_what_was_asked() -> None:
    """What is left out is the operator's to fill in."""
    manifest = manifest_of(ModelOrder(name="notes", catalogue="gemma3:270m", minimum=0, maximum=2))
    assert manifest["metadata"] == {"name": "notes", "namespace": "aiplat-model"}
    expected = {"source": {"catalogue": "gemma3:270m"}, "name": "notes", "minReplicas": 0, "maxReplicas": 2}
    assert manifest["spec"] == expected


def test_a_name_is_also_the_catalogues_unless_said_otherwise() -> None:
    """`deploy phi3` serves phi3 as phi3."""
    manifest = manifest_of(ModelOrder(name="gemma3:270m", requests={"cpu": "2"}))
    assert manifest["metadata"]["name"] == "gemma3-270m"
    assert manifest["spec"] == {
        "source": {"catalogue": "gemma3:270m"},
        "name": "gemma3:270m",
        "resources": {"requests": {"cpu": "2"}},
    }


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (ModelOrder(name="m", image="x@sha256:" + "0" * 64), "does not say which engine"),
        (ModelOrder(name="m", minimum=3, maximum=2), "3 is more than --max 2"),
    ],
)
def test_an_order_that_contradicts_itself_is_refused(order: ModelOrder, said: str) -> None:
    """Before anything is asked of a cluster."""
    with pytest.raises(BadInput, match=said):
        manifest_of(order)


@pytest.mark.parametrize(("name", "title"), [("llama3.1", "llama3.1"), ("Qwen/Qwen3:4b", "qwen-qwen3-4b")])
def test_names_of_models_become_names_of_objects(name: str, title: str) -> None:
    """Kubernetes takes dots and dashes."""
    assert object_name(name) == title


def test_a_site_that_was_never_bootstrapped_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no kubeconfig in its state."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))
    host = {"name": "s1", "address": "10.0.0.1", "role": "server"}
    site = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "s", "hosts": [host]}
    with pytest.raises(BadInput, match="no cluster that is known on this machine"):
        list_models(Site.model_validate(site))
