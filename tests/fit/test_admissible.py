"""An engine refuses some settings however much memory there is; these are no fits."""

from __future__ import annotations

import pytest

from aiplat.fit.admissible import divisors
from aiplat.fit.known_models import find_architecture
from aiplat.fit.memory import plan_memory
from aiplat.fit.placement import FITS, NO, MemoryPlan
from aiplat.fit.question import Question, as_request
from aiplat.fit.request import Settings


def plan(
    model: str, device: str, engine: str, quantisation: str | None = None, **settings: int
) -> MemoryPlan:
    """Return the plan for a question."""
    return plan_memory(as_request(Question(model, (device,), engine, quantisation, Settings(**settings))))  # type: ignore[arg-type]


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
    request = as_request(Question(model, (device,), engine, None, Settings(**settings)))  # type: ignore[arg-type]
    assert request.weights.quantisation == stored
    assert any(stored in said for said in request.assumed) or stored == "16-bit"
    assert plan_memory(request).verdict == FITS
