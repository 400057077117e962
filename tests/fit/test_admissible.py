"""An engine refuses some settings however much memory there is; these are not fits."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.fit.division import divisors
from aiplat.fit.known_models import find_architecture
from aiplat.fit.memory import plan_memory
from aiplat.fit.placement import FITS, NO, TIGHT, MemoryPlan
from aiplat.fit.question import FitQuestion, as_request
from aiplat.fit.request import EngineSettings, Request, read_request


def plan(
    model: str, device: str, engine: str, quantisation: str | None = None, **settings: Any
) -> MemoryPlan:
    """Return the plan for a question."""
    return plan_memory(
        as_request(FitQuestion(model, (device,), engine, quantisation, EngineSettings(**settings)))
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "cards"),
    [
        ("llama-3.1-8b", 3),
        ("llama-3.2-3b", 16),
        ("llama-3.1-70b", 6),
        ("gpt-oss-20b", 12),
        ("llama-3.1-8b", 5),
    ],
)
def test_heads_that_cannot_be_divided_are_no_fit(model: str, cards: int) -> None:
    """VLLM stops at its start where the GPUs of a group do not divide a model's heads."""
    refused = plan(model, f"{cards}x H100", "vllm", context=8192, tensor_parallel=cards)
    assert refused.verdict == NO
    assert "heads" in refused.why[0]
    assert refused.remedies[0].startswith("--tensor-parallel-size 1 or 2")


@pytest.mark.parametrize("cards", [1, 2, 4, 8])
def test_heads_that_can_be_divided_are_judged_by_memory(cards: int) -> None:
    """A group that divides the heads changes nothing but memory."""
    assert plan("llama-3.1-8b", f"{cards}x H100", "vllm", context=8192, tensor_parallel=cards).verdict == FITS


def test_more_gpus_than_key_heads_hold_copies_of_them() -> None:
    """Eight key heads go to sixteen GPUs as two copies each; twelve GPUs would need one and a half."""
    arch = find_architecture("llama-3.1-70b")
    assert arch
    assert (arch.heads, arch.kv_heads) == (64, 8)
    assert divisors(arch, 16) == [1, 2, 4, 8, 16]


def test_vllm_refuses_a_context_longer_than_the_model_was_made_for() -> None:
    """The limit is named, and what lies below it is judged by memory."""
    refused = plan("llama-3.1-8b", "H100", "vllm", context=131073)
    assert refused.verdict == NO
    assert refused.remedies == ["a context of at most 131072 tokens"]
    assert plan("llama-3.1-8b", "H100", "vllm", context=131072).verdict == FITS


@pytest.mark.parametrize("engine", ["ollama", "llama.cpp"])
def test_other_engines_accept_a_longer_context_and_are_told_of(engine: str) -> None:
    """They cut it or answer worse: a sentence says so, for one request's tokens and not for all slots'."""
    told = plan("llama-3-8b", "H100", engine, "Q4_K_M", context=16384)
    assert any("was made for 8192 tokens" in why for why in told.why)
    slots = plan("llama-3-8b", "H100", engine, "Q4_K_M", context=16384, parallel=2)
    assert not any("was made for" in why for why in slots.why)


@pytest.mark.parametrize(
    ("model", "device", "engine", "settings", "stored"),
    [
        ("gpt-oss-120b", "H200", "vllm", {"context": 131072}, "mxfp4"),
        ("gpt-oss:20b", "24 GB card", "ollama", {"context": 8192}, "MXFP4"),
        ("deepseek-v3", "8x H200", "vllm", {"context": 32768, "tensor_parallel": 8}, "fp8"),
        ("deepseek-v3:671b", "8x H200", "ollama", {"context": 8192}, "Q4_K_M"),
        ("llama-3.1-8b", "RTX 4090", "vllm", {"context": 8192}, "16-bit"),
    ],
)
def test_a_model_is_taken_in_the_form_it_is_published_in(
    model: str, device: str, engine: str, settings: dict[str, int], stored: str
) -> None:
    """Without a quantisation a model's own form is assumed, and said; GGUF has no form of its own for fp8."""
    request = as_request(FitQuestion(model, (device,), engine, None, EngineSettings(**settings)))  # type: ignore[arg-type]
    assert request.weights.quantisation == stored
    assert any(stored in said for said in request.assumed) or stored == "16-bit"
    assert plan_memory(request).verdict == FITS


@pytest.mark.parametrize(
    ("device", "settings", "word"),
    [
        ("H100", {"tensor_parallel": 8}, "are named"),
        ("2x H100", {"tensor_parallel": 2, "pipeline_parallel": 2}, "are named"),
        ("4x H100 1g.20gb", {"tensor_parallel": 4}, "are named"),
        ("P40", {}, "does not run on"),
        ("GTX 1080 Ti", {}, "does not run on"),
        ("M2 Ultra 192GB", {}, "does not run on"),
        ("RTX 4090", {"utilisation": 1.0}, "never free"),
        ("RTX 4090", {"type_k": "q8_0", "type_v": "q8_0"}, "KV cache of type q8_0"),
    ],
)
def test_what_vllm_never_starts_with_is_no_fit(device: str, settings: dict[str, Any], word: str) -> None:
    """GPUs that are not there, old cards, memory that is never free, a cache it does not have."""
    refused = plan("llama-3.2-1b", device, "vllm", context=4096, **settings)
    assert refused.verdict == NO
    assert word in refused.why[0]


def test_vllm_shares_a_model_over_gpus_of_one_maker_only() -> None:
    """A card of NVIDIA's and one of AMD's make no tensor-parallel group."""
    settings = EngineSettings(context=4096, tensor_parallel=2)
    request = as_request(FitQuestion("llama-3.1-8b", ("RTX 4090", "RX 7900 XTX"), "vllm", None, settings))
    assert plan_memory(request).why[0] == "vLLM does not share a model over cuda and rocm"


@pytest.mark.parametrize(("engine", "kind"), [("ollama", "fp8"), ("ollama", "q5_1"), ("llama.cpp", "fp8")])
def test_a_cache_that_an_engine_does_not_have_is_no_fit(engine: str, kind: str) -> None:
    """What the engine would keep instead is larger than what was counted."""
    refused = plan("llama-3.1-8b", "RTX 4090", engine, "Q4_K_M", context=8192, type_k=kind, type_v=kind)
    assert refused.verdict == NO
    assert f"KV cache of type {kind}" in refused.why[0]


@pytest.mark.parametrize("engine", ["ollama", "llama.cpp"])
def test_a_quantised_cache_needs_flash_attention(engine: str) -> None:
    """Without it llama.cpp ends and Ollama keeps 16 bits."""
    asked: dict[str, Any] = {"context": 8192, "type_k": "q8_0", "type_v": "q8_0"}
    assert plan("llama-3.1-8b", "RTX 4090", engine, "Q4_K_M", flash_attention=False, **asked).verdict == NO
    assert plan("llama-3.1-8b", "RTX 4090", engine, "Q4_K_M", flash_attention=True, **asked).verdict == FITS


def test_a_program_sees_one_slice_of_a_card() -> None:
    """Two MIG instances are no room for what one of them does not hold; the others are left out."""
    refused = plan("llama-3.1-8b", "2x A100 80GB 1g.10gb", "ollama", "F16", context=8192)
    assert refused.verdict == NO
    assert "1 of 2 devices are left out" in refused.why[-1]


@pytest.mark.parametrize(
    ("model", "cards", "fewer"), [("qwen3-235b-a22b", 8, 4), ("qwen3-30b-a3b", 4, 2), ("qwen3-4b", 8, 4)]
)
def test_blocks_of_fp8_weights_that_are_cut_are_no_fit(model: str, cards: int, fewer: int) -> None:
    """A scale holds for a block of 128 rows, which the GPUs of a group cannot share; fewer can."""
    refused = plan(model, f"{cards}x H200", "vllm", "fp8", tensor_parallel=cards, context=8192)
    assert refused.verdict == NO
    assert "128" in refused.why[0]
    assert refused.remedies[0].endswith(f"or {fewer}")
    assert plan(model, f"{fewer}x H200", "vllm", "fp8", tensor_parallel=fewer, context=8192).verdict == FITS


@pytest.mark.parametrize(
    ("model", "verdict"), [("llama-3.1-70b", FITS), ("qwen2.5-72b", TIGHT), ("qwen2.5-14b", NO)]
)
def test_groups_of_four_bit_weights_that_are_cut_are_no_fit_unless_padded(model: str, verdict: str) -> None:
    """A scale holds for a group of rows: over 8 GPUs each has 3696 of 29568 rows, which are 28.9 groups."""
    found = plan(model, "8x H100", "vllm", "awq", context=8192, tensor_parallel=8)
    assert found.verdict == verdict
    assert any("groups" in why for why in found.why) == (verdict != FITS)


def test_what_a_log_says_beside_a_type_of_cache_is_not_part_of_it() -> None:
    """`auto (bf16)` is what vLLM takes by itself."""
    assert plan("qwen3-8b", "H100", "vllm", context=8192, type_k="auto (bf16)").verdict == FITS


@pytest.mark.parametrize(
    ("engine", "stored", "device", "word"),
    [
        ("ollama", "awq", "RTX 4090", "GGUF files alone"),
        ("llama.cpp", "fp8", "RTX 4090", "GGUF files alone"),
        ("vllm", "fp8", "V100 32GB", "no kernels for fp8"),
        ("vllm", "awq", "TITAN V", "no kernels for awq"),
        ("vllm", "nvfp4", "MI300X", "no kernels for nvfp4"),
    ],
)
def test_weights_in_a_form_that_an_engine_cannot_read_are_no_fit(
    engine: str, stored: str, device: str, word: str
) -> None:
    """An engine for GGUF reads only that, and old cards lack the kernels of new forms."""
    refused = plan("llama-3.2-1b", device, engine, stored, context=4096)
    assert refused.verdict == NO
    assert word in refused.why[0]


@pytest.mark.parametrize(
    ("stored", "device"), [("Q4_K_M", "RTX 4090"), ("fp8", "T4"), ("fp8", "RX 7900 XTX")]
)
def test_weights_that_some_versions_of_vllm_read_are_not_certain(stored: str, device: str) -> None:
    """GGUF files in vLLM, and forms whose kernels for a card came late."""
    assert plan("llama-3.2-1b", device, "vllm", stored, context=4096).verdict == TIGHT


@pytest.mark.parametrize("engine", ["ollama", "llama.cpp", "vllm"])
def test_no_engine_shares_a_model_over_cards_that_are_not_there(engine: str) -> None:
    """Whoever asks for four and names one is told so."""
    refused = plan("llama-3.1-8b", "RTX 4090", engine, context=8192, tensor_parallel=4)
    assert refused.verdict == NO
    assert "4 GPUs are to share the model, and 1 are named" in refused.why


def test_a_quantised_cache_is_for_heads_that_its_blocks_divide() -> None:
    """Blocks have 32 elements; heads of 80 are two and a half of them."""
    shape = {"layers": 4, "heads": 4, "head_dim": 80, "hidden": 320, "ffn": 1024, "vocab": 1000}
    case = {
        "engine": "llama.cpp",
        "model": {"name": "ours", "quant": "F16", "architecture": shape},
        "hardware": {"gpu": "RTX 4090"},
        "config": {"n_ctx": 4096, "flash_attn": True, "type_k": "q8_0", "type_v": "q8_0"},
    }
    assert plan_memory(asked(case)).verdict == NO
    assert plan_memory(asked({**case, "config": {"n_ctx": 4096}})).verdict == FITS


def test_layers_that_keep_a_state_are_divided_by_their_own_heads() -> None:
    """Of qwen3.5-27b a state has 16 heads of keys beside 24 heads of attention."""
    arch = find_architecture("qwen3.5-27b")
    assert arch
    assert arch.recurrent
    assert arch.recurrent.key_heads == 16
    assert divisors(arch, 16) == [1, 2, 4, 8]


def test_a_stage_of_a_pipeline_has_its_share_of_layers_and_cache() -> None:
    """Two stages need half each, and the embedding or the output whole; stages without layers are refused."""
    case = {
        "engine": "vllm",
        "model": {"name": "llama-3.1-8b", "quant": "bf16"},
        "hardware": {"gpu": "RTX 4090", "count": 2},
        "config": {"max_model_len": 8192, "pipeline_parallel": 2},
    }
    halved = plan_memory(asked(case))
    whole = plan_memory(asked({**case, "config": {"max_model_len": 8192, "tensor_parallel": 1}}))
    assert 0.5 <= halved.loads[0].weights / whole.loads[0].weights < 0.55
    assert halved.loads[0].kv == whole.loads[0].kv / 2
    many = {**case, "hardware": {"gpu": "RTX 4090", "count": 40}, "config": {"pipeline_parallel": 40}}
    assert "32 layers cannot be laid out" in plan_memory(asked(many)).why[0]


def asked(case: dict[str, Any]) -> Request:
    """Return the request of a complete case."""
    request = read_request(case)
    assert isinstance(request, Request)
    return request
