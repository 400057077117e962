"""A site is compared with itself with GPUs everywhere: what fits, what it costs, by whose prices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiplat.errors import BadInput
from aiplat.fit.costs import Prices, machine, use
from aiplat.fit.knowledge import knowledge
from aiplat.fit.layouts import EXAMPLE, compare_layouts, planned_site
from aiplat.site.models import CostSettings, Site

EXAMPLE_SITE = planned_site(EXAMPLE)
COMPARED = compare_layouts(EXAMPLE_SITE, "ollama")
MIXED, ALL = COMPARED["layouts"]


def with_costs(**costs: Any) -> Site:
    """Return the example with prices of its own."""
    return EXAMPLE_SITE.model_copy(update={"costs": CostSettings(**costs)})


def model(layout: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what a layout says about one model."""
    found: dict[str, Any] = next(entry for entry in layout["models"] if entry["model"] == name)
    return found


def test_the_example_has_two_gpus_and_would_have_five() -> None:
    """One layout is the site as it is, the other has its card in every machine."""
    assert [len(one["gpus"]) for one in MIXED["machines"]] == [1, 1, 0, 0, 0]
    assert {one["gpus"] for one in ALL["machines"]} == {("RTX 4090",)}
    card = next(price["value"] for price in COMPARED["prices"] if price["name"] == "RTX 4090")
    assert ALL["capex_eur"] - MIXED["capex_eur"] == pytest.approx(3 * card)


def test_what_fits_is_said_for_each_machine() -> None:
    """Small models run on every machine, large ones in RAM, where cards are too small for them."""
    assert [answer["on"] for answer in model(MIXED, "llama-3.1-8b")["on"]] == [
        "GPU",
        "GPU",
        "CPU",
        "CPU",
        "CPU",
    ]
    assert {answer["on"] for answer in model(ALL, "llama-3.3-70b")["on"]} == {"CPU"}
    for layout in (MIXED, ALL):
        for entry in layout["models"]:
            assert all(answer["why"] for answer in entry["on"])


def test_a_million_tokens_cost_what_their_parts_cost() -> None:
    """Purchase by year and electricity by share of use, over the tokens of a year."""
    prices = Prices(CostSettings(electricity=0.5, years=5, machine=1000))
    one = machine(EXAMPLE_SITE.hosts[2], (), prices)
    half = use([one], 10.0, 0.5, prices)
    tokens = 10 * 0.5 * 8760 * 3600 / 1e6
    kwh = (one.idle_w + 0.5 * (one.load_w - one.idle_w)) * 8.76
    assert half.mtok_a_year == pytest.approx(tokens)
    assert half.kwh_per_mtok == pytest.approx(kwh / tokens)
    assert half.eur_per_mtok == pytest.approx((1000 / 5 + kwh * 0.5) / tokens)


def test_use_makes_tokens_cheaper() -> None:
    """At 5, 25, 50 and 100 % of the year a million tokens cost less and less."""
    for layout in (MIXED, ALL):
        for entry in layout["models"]:
            assert [step["share"] for step in entry["use"]] == [0.05, 0.25, 0.5, 1.0]
            euros = [step["eur_per_mtok"] for step in entry["use"]]
            assert euros == sorted(euros, reverse=True)


def test_the_sites_own_prices_win_and_are_named() -> None:
    """What the site file says replaces the default, and each price says where it is from."""
    own = compare_layouts(with_costs(electricity=1.0, gpus={"RTX 4090": 100}), "ollama", ("llama-3.1-8b",))
    sources = {price["name"]: price["source"] for price in own["prices"]}
    assert sources["electricity"] == sources["RTX 4090"] == "the site file"
    assert "chosen" in sources["machine"]
    dear = own["layouts"][0]["models"][0]["use"][3]["eur_per_mtok"]
    assert dear > model(MIXED, "llama-3.1-8b")["use"][3]["eur_per_mtok"]


def test_every_default_has_a_source_and_a_date() -> None:
    """No number of the comparison is without origin."""
    for name, entry in knowledge("costs").items():
        if isinstance(entry, dict):
            assert entry["value"] > 0, name
            assert entry["source"], name
            assert entry["date"], name


def test_served_by_vllm_many_requests_share_a_card() -> None:
    """With vLLM the speed is that of many requests at once, and only where a card holds the model."""
    compared = compare_layouts(EXAMPLE_SITE, "vllm", ("llama-3.1-8b",))
    batched, single = compared["layouts"][0]["models"][0], model(MIXED, "llama-3.1-8b")
    assert batched["on"][0]["tok_s"][1] > single["on"][0]["tok_s"][1]


def test_a_card_without_a_price_is_named(tmp_path: Path) -> None:
    """A card that is not known, and one whose price is not, say what to add."""
    for card, told in (("RTX 9999", "is not known"), ("Tesla P40", "has no known price")):
        text = (Path(planned_site.__code__.co_filename).with_name("data") / f"{EXAMPLE}.yaml").read_text()
        (tmp_path / "site.yaml").write_text(text.replace("RTX 4090", card))
        with pytest.raises(BadInput, match=told):
            compare_layouts(planned_site(str(tmp_path / "site.yaml")), "ollama")


def test_a_site_without_hardware_is_all_processors() -> None:
    """Hosts that say nothing about themselves have no GPU, and their speed is not known."""
    bare = EXAMPLE_SITE.model_copy(
        update={
            "hosts": tuple(h.model_copy(update={"hardware": type(h.hardware)()}) for h in EXAMPLE_SITE.hosts)
        }
    )
    compared = compare_layouts(bare, "ollama", ("llama-3.1-8b",))
    assert compared["layouts"][0]["models"][0]["tok_s"] is None
    assert compared["layouts"][1]["models"][0]["tok_s"] is not None


def shared_site(gpu: dict[str, object]) -> Site:
    """Return the example with each RTX 4090 an H100 that is shared as told."""
    document = EXAMPLE_SITE.model_dump(mode="json", by_alias=True)
    for host in document["hosts"]:
        if host["hardware"]["gpus"]:
            host |= {"hardware": {**host["hardware"], "gpus": ["H100 80GB"]}, "gpu": gpu}
    return Site.model_validate(document)


@pytest.mark.parametrize(
    ("sharing", "device", "small", "large"),
    [
        ({"mig": "1g.10gb"}, "1g.10gb", "GPU", "CPU"),
        ({"mps": 4}, "of 19.5 GiB", "GPU", "CPU"),
        ({"timeSlicing": 4}, "of 79.2 GiB", "GPU", "GPU"),
    ],
)
def test_a_model_is_to_fit_what_a_pod_gets_of_a_card(
    sharing: dict[str, object], device: str, small: str, large: str
) -> None:
    """A MIG instance, an equal part of the memory, or in turns all of it; machines cost what they cost."""
    compared = compare_layouts(shared_site({"sharing": sharing}), "ollama", ("llama3.1:8b", "llama3.1:70b"))
    whole = compare_layouts(shared_site({}), "ollama", ("llama3.1:8b",))
    assert compared["layouts"][0]["capex_eur"] == whole["layouts"][0]["capex_eur"]
    first, second = (m["on"] for m in compared["layouts"][0]["models"])
    assert {on["on"] for on in first if device in on["why"]} == {small}
    assert any(on["on"] == "GPU" for on in second) is (large == "GPU")
