"""Many requests at once: the load is read from a run's conditions, and held-out sources are predicted."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pytest

from aiplat.fit.cases import read_cases
from aiplat.fit.held_out import fit_serving, held_out, serving_runs
from aiplat.fit.knowledge import constant
from aiplat.fit.question import FitQuestion, as_request
from aiplat.fit.request import EngineSettings, Request
from aiplat.fit.serving import known_constants
from aiplat.fit.throughput import batched
from aiplat.fit.traffic import asked, read_traffic

CASES = [
    case for name in ("served", "h200") for case in read_cases(Path(__file__).parent / f"{name}.yaml")[0]
]
RUNS = serving_runs(CASES)


def question(device: str = "H100", quant: str | None = "bf16", **settings: Any) -> Request:
    """Return a dense 8B model on vLLM."""
    return as_request(FitQuestion("llama-3.1-8b", (device,), "vllm", quant, EngineSettings(**settings)))


def likely(request: Request, conditions: str = "") -> float:
    """Return the likely tokens a second, under conditions where they are given."""
    speed = batched(request, read_traffic({"conditions": conditions}, request))
    assert speed
    return speed.likely


def test_sources_that_had_no_part_in_the_fit_are_predicted() -> None:
    """The median error of held-out sources is below 30 %, and the told range holds eight of ten runs."""
    ratios = held_out(RUNS)
    assert len(ratios) > 100
    assert len({run.source for run in RUNS}) > 12
    assert median(abs(ratio - 1) for ratio in ratios.values()) < 0.3
    others = [ratios[run.id] for run in RUNS if run.source != "h200"]
    assert median(abs(ratio - 1) for ratio in others) < 0.3
    low, high = (1 + constant("serving", f"spread_{end}") for end in ("high", "low"))
    told = [ratio for ratio in ratios.values() if 1 / low <= ratio <= high]
    assert len(told) >= 0.8 * len(ratios)


def test_the_constants_are_those_that_the_recorded_runs_give() -> None:
    """A fit over all recorded runs finds no constants that are far from those in the data file."""
    found, known = fit_serving(RUNS), known_constants()
    assert {name: value for name, value in found.items() if not 0.7 < value / known[name] < 1.4} == {}


@pytest.mark.parametrize(
    ("conditions", "load"),
    [
        ("random 1024/1024, max-concurrency 32, 100 prompts", (1024, 1024, 32, 100, None)),
        ("random 800 in / 100 out, request-rate 2, 100 prompts", (800, 100, None, 100, None)),
        ("vllm bench serve, ShareGPT; command: vllm serve a/b -tp 4", (217, 200, None, 1000, 4)),
        ("latency page; command: python3 -m sglang.launch_server --model a", (217, 200, 4, 1000, 1)),
        ("command: launch_server --tp-size 8 --dp-size 8 --enable-dp-attention", (217, 200, None, 1000, 8)),
        ("ShareGPT; command: vllm serve -tp 4 -dp 2", (217, 200, None, 1000, 8)),
    ],
)
def test_a_load_is_read_from_how_a_run_was_made(conditions: str, load: tuple[float | None, ...]) -> None:
    """Lengths, requests at once, their number and the cards of a command."""
    found = read_traffic({"conditions": conditions}, question())
    assert (found.prompt, found.answer, found.at_once, found.requests, found.cards) == load


@pytest.mark.parametrize("conditions", [None, {"kv_mib": 1}, 7, "max-concurrency 0", "nonsense"])
def test_conditions_that_say_nothing_are_no_load(conditions: Any) -> None:
    """Whatever stands there, a load with some request comes out."""
    request = question()
    speed = batched(request, read_traffic({"conditions": conditions}, request))
    assert speed is not None
    assert 0 < speed.low < speed.likely < speed.high


def test_more_requests_at_once_make_more_tokens_and_each_fewer() -> None:
    """Weights are read once for all."""
    few, many = (likely(question(parallel=n)) for n in (4, 64))
    assert few < many < 16 * few
    assert asked(question(parallel=4)).at_once == 4


def test_long_prompts_cost_answers() -> None:
    """Reading prompts takes the time in which others wait for tokens."""
    short, long = (likely(question(), f"offline, random {n}/128, max-concurrency 32") for n in (128, 8000))
    assert long < short / 3


def test_a_rate_bounds_what_comes_out() -> None:
    """Two requests a second of 100 tokens are at most 200 tokens a second."""
    request = question()
    speed = batched(request, read_traffic({"conditions": "random 800/100, request-rate 2"}, request))
    assert speed
    assert speed.likely == 200
    assert speed.low < 200 < speed.high


def test_eight_bits_and_more_cards_are_faster() -> None:
    """Hopper multiplies in 8 bits; two cards read half each."""
    plain = likely(question())
    assert likely(question(quant="fp8")) > 1.1 * plain
    assert plain < likely(question("2x H100", tensor_parallel=2)) < 2 * plain


def test_eager_is_slow_at_few_requests() -> None:
    """Without CUDA graphs Python starts each layer."""
    assert likely(question(parallel=4, eager=True)) < likely(question(parallel=4)) / 2


def test_slots_of_llama_cpp_share_the_card() -> None:
    """Eight slots make more than one, and far less than eight times as much."""
    one, eight = (
        batched(
            as_request(
                FitQuestion("llama-3.1-8b", ("H200",), "llama.cpp", "Q4_K_M", EngineSettings(parallel=n))
            )
        )
        for n in (1, 8)
    )
    assert one
    assert eight
    assert 1.2 * one.likely < eight.likely < 3 * one.likely
