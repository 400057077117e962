"""Speed follows from bytes, bandwidth and the few constants that runs gave."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.fit.calibrate import fit_memory, fit_throughput
from aiplat.fit.cases import in_fitting_half
from aiplat.fit.knowledge import constant, knowledge
from aiplat.fit.question import FitQuestion, as_request
from aiplat.fit.request import EngineSettings, Incomplete, read_request
from aiplat.fit.throughput import batched, delay, efficiency, single_stream, work_of


def speed(model: str, device: str, quantisation: str, engine: str = "llama.cpp") -> float:
    """Return the likely tokens a second of one stream."""
    found = single_stream(as_request(FitQuestion(model, (device,), engine, quantisation, EngineSettings())))
    assert found
    return found.likely


def test_fewer_bytes_and_more_bandwidth_are_faster() -> None:
    """Quantised weights are read faster, and a faster memory reads all faster."""
    assert speed("llama-3-8b", "RTX 3090", "Q4_K_M") > 1.5 * speed("llama-3-8b", "RTX 3090", "F16")
    assert speed("llama-3-8b", "RTX 3090", "Q4_K_M") > 1.5 * speed(
        "llama-3-8b", "RTX 4060 Ti 16 GB", "Q4_K_M"
    )
    assert speed("llama-3-8b", "cpu EPYC 9354 256 GB", "Q4_K_M") < speed("llama-3-8b", "RTX 3090", "Q4_K_M")


def test_only_chosen_experts_are_read() -> None:
    """A model of 30B with 3B at work is faster than a dense one of 14B."""
    assert speed("qwen3-30b-a3b", "RTX 3090", "Q4_K_M") > speed("qwen3-14b", "RTX 3090", "Q4_K_M")


def test_layers_on_the_processor_slow_a_model_down() -> None:
    """What does not fit on the card is read by the processor."""
    assert speed("llama-3.1-70b", "RTX 4090", "Q4_K_M") < 0.5 * speed(
        "llama-3.1-70b", "2x RTX 4090", "Q4_K_M"
    )


def test_a_device_without_known_bandwidth_has_no_speed() -> None:
    """Nothing is guessed about a card that is known by its memory alone."""
    request = as_request(FitQuestion("llama-3-8b", ("24 GB card",), "vllm", None, EngineSettings()))
    assert single_stream(request) is None
    assert batched(request) is None


def cases_of(share: float, layer: float) -> list[dict[str, Any]]:
    """Return made-up runs of a machine that reaches `share` of its bandwidth and loses `layer` seconds."""
    made: list[dict[str, Any]] = []
    for number, (name, quant) in enumerate(
        (name, quant)
        for name in ("Llama-3-8B", "Llama-3-70B", "Qwen3-14B")
        for quant in ("Q4_K_M", "F16", "Q8_0")
    ):
        case = {
            "id": f"made-{number}",
            "engine": "llama.cpp",
            "model": {"name": name, "quant": quant},
            "hardware": {"gpu": "A100 PCIe 80GB", "count": 4},
        }
        request = read_request(case)
        assert not isinstance(request, Incomplete)
        (work,) = work_of(request)
        made.append({**case, "measured": {"decode_tok_s": 1 / work.seconds(share, layer)}})
    return made


def test_constants_are_found_again() -> None:
    """From runs made with known constants the fit finds these, over its own half alone."""
    cases = cases_of(0.6, 200e-6)
    assert {in_fitting_half(case["id"]) for case in cases} == {True, False}
    found = fit_throughput(cases)
    assert found["throughput.bandwidth_share_hbm"] == pytest.approx(0.6, abs=0.02)
    assert found["throughput.layer_delay_us_llama"] == pytest.approx(200, abs=10)
    others = [c if in_fitting_half(c["id"]) else {**c, "measured": {"decode_tok_s": 1}} for c in cases]
    assert fit_throughput(others) == found


def test_the_sampler_is_found_again() -> None:
    """Peaks of activations that come from sampling give the bytes a sequence and word."""
    cases = [
        {
            "id": f"run-{n}",
            "engine": "vllm",
            "model": {"name": "Llama-3.1-8B", "quant": "bf16"},
            "hardware": {"gpu": "Tesla T4", "count": 1},
            "config": {"max_num_seqs": 200, "max_model_len": 1024},
            "recorded": {"activation_peak_gib": 36 * 200 * 128256 / (1 << 30), "non_torch_gib": 0.1},
        }
        for n in range(8)
    ]
    found = fit_memory(cases)
    assert found["vllm.sampler_bytes"] == pytest.approx(36, rel=0.01)
    assert found["vllm.non_torch_mib"] == pytest.approx(102.4)


@pytest.mark.parametrize(
    "group", ["gddr", "hbm", "unified", "cpu", "serving_hbm", "serving_gddr", "interpreted"]
)
def test_constants_are_physical(group: str) -> None:
    """No memory is read faster than its data sheet says, and every delay is a fraction of a millisecond."""
    assert 0 < efficiency(group) <= 1
    assert all(0 <= delay(program) < 1e-3 for program in ("llama.cpp", "vllm", "transformers"))
    shares = [name for name in knowledge("engines")["serving"] if name.endswith("share")]
    assert len(shares) > 4
    assert all(0 < constant("serving", name) < 1 for name in shares)
