"""`aiplat catalog` as a person and as a program meet it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest

from aiplat.cli.main import main

Aiplat = Callable[..., str]


@pytest.fixture
def aiplat(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Aiplat:
    """Run `aiplat catalog …`, which must succeed, and return its standard output."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["aiplat", "catalog", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        return capsys.readouterr().out

    return run


def test_the_catalogue_lists_every_plane_and_component(aiplat: Aiplat) -> None:
    """What is there and what comes later, in the order of planes."""
    planes = json.loads(aiplat("--json"))["planes"]
    assert [p["order"] for p in planes] == list(range(1, 12))
    found = {c["name"]: c for p in planes for c in p["components"]}
    assert (found["ollama"]["state"], found["ollama"]["supplies"]) == ("on", ["packages", "upstream"])
    assert (found["vllm"]["state"], found["vllm"]["supplies"]) == ("request", ["packages", "upstream"])
    assert found["weaviate"]["state"] == "later"


def test_the_table_names_what_the_document_names(aiplat: Aiplat) -> None:
    """A person sees every component too."""
    table = aiplat()
    for plane in json.loads(aiplat("--json"))["planes"]:
        assert plane["title"] in table
        assert all(c["name"] in table for c in plane["components"])


def test_a_model_is_shown_once_with_its_alias_and_conditions(aiplat: Aiplat) -> None:
    """Name and alias stand together; the licence's conditions are in words."""
    shown = aiplat("models")
    assert "gemma3:270m-base-q4_k_m = gemma3:270m" in shown
    assert "Gemma Terms of Use https://ai.google.dev/gemma/terms" in shown
    assert "Prohibited Use Policy" in shown
    model = json.loads(aiplat("models", "--json"))["models"][0]
    assert (model["engine"], model["features"]) == ("ollama", ["completion"])
    assert model["source"].startswith("sha256:")
