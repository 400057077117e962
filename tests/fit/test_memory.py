"""Verdicts follow from memory: more of it never hurts, and each refusal says what would do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aiplat.errors import BadInput
from aiplat.fit.memory import plan_memory
from aiplat.fit.placement import FITS, NO, TIGHT, MemoryPlan
from aiplat.fit.question import FitQuestion, as_request
from aiplat.fit.request import EngineSettings, Version, read_version

ORDER = {FITS: 0, TIGHT: 1, NO: 2}


def plan(model: str, device: str, engine: str, *, quantisation: str = "", version: str = "", **settings: object) -> MemoryPlan:  # fmt: skip  # noqa: E501
    """Return the plan for a question."""
    question = FitQuestion(model, (device,), engine, quantisation or None, EngineSettings(**settings))  # type: ignore[arg-type]
    request = as_request(question)
    return plan_memory(replace(request, version=read_version(version)) if version else request)


@pytest.mark.parametrize("engine", ["ollama", "llama.cpp", "ik_llama.cpp", "vllm"])
@pytest.mark.parametrize(
    "model", ["llama-3.1-8b", "gemma-3-12b", "deepseek-v2-lite", "gpt-oss-20b", "qwen3.5-27b"]
)
def test_more_context_and_smaller_cards_never_help(engine: str, model: str) -> None:
    """Need grows with the context, and the verdict never improves on a smaller card."""
    sizes = (2048, 8192, 32768, 131072)
    needs = [plan(model, "96 GB card", engine, context=n).total("need") for n in sizes]
    assert needs == sorted(needs)
    cards = (96, 48, 24, 16, 12, 8, 4)
    verdicts = [ORDER[plan(model, f"{card} GB card", engine, context=8192).verdict] for card in cards]
    assert verdicts == sorted(verdicts)
    assert verdicts[-1] == 2


def test_every_device_must_hold_its_part() -> None:
    """70B in 16 bits dies on six cards whose memory together would do: each needs its own buffer."""
    six = plan("llama-3-70b", "6x RTX 3090", "llama.cpp", quantisation="F16", context=8192)
    assert six.verdict != FITS
    assert plan("llama-3-70b", "2x H100", "llama.cpp", quantisation="F16", context=8192).verdict == FITS


def test_vllm_takes_its_share_whatever_the_model_needs() -> None:
    """A model of half a billion parameters reserves nine tenths of the card as well."""
    small = plan("qwen2.5-0.5b", "RTX 4090", "vllm", context=4096)
    large = plan("llama-3.1-8b", "RTX 4090", "vllm", context=4096)
    assert small.reserved == large.reserved
    assert (small.kv_tokens or 0) > (large.kv_tokens or 0) > 4096
    assert plan("llama-3.1-8b", "RTX 4090", "vllm", context=4096, utilisation=0.6).verdict == NO


def test_latents_are_replicated_on_each_rank() -> None:
    """Tensor parallelism divides heads, not a latent cache."""
    one = plan("deepseek-v2-lite", "2x RTX 4090", "vllm", context=8192, tensor_parallel=1)
    two = plan("deepseek-v2-lite", "2x RTX 4090", "vllm", context=8192, tensor_parallel=2)
    assert one.loads[0].kv == two.loads[0].kv
    heads = [
        plan("llama-3.1-8b", "2x RTX 4090", "vllm", context=8192, tensor_parallel=n).loads[0].kv
        for n in (1, 2)
    ]
    assert heads[0] == 2 * heads[1]


def test_the_processor_of_vllm_has_a_space_of_its_own() -> None:
    """Four GiB of cache hold 21845 tokens of a 14B model, so a context of 131072 does not fit."""
    answer = plan("qwen2.5-14b", "cpu 256 GB", "vllm-cpu", context=131072)
    assert answer.verdict == NO
    assert answer.kv_tokens == 21840
    assert plan("qwen2.5-14b", "cpu 256 GB", "vllm-cpu", context=16384).verdict == FITS


def test_slots_share_a_window_and_quantised_caches_are_smaller() -> None:
    """Ollama's slots multiply what local layers keep; q8_0 halves the cache, but for its scales."""
    one = plan("gemma-3-12b", "RTX 4090", "ollama", context=16384, parallel=1).total("kv")
    four = plan("gemma-3-12b", "RTX 4090", "ollama", context=16384, parallel=4).total("kv")
    assert four > one
    plain = plan("llama-3.1-8b", "RTX 4090", "ollama", context=16384).total("kv")
    small = plan("llama-3.1-8b", "RTX 4090", "ollama", context=16384, type_k="q8_0", type_v="q8_0").total(
        "kv"
    )
    assert small == pytest.approx(plain * 34 / 64)


def test_windows_are_kept_by_engines_that_have_them() -> None:
    """llama.cpp of before mid-2025 and ik_llama.cpp keep the whole context for local layers too."""
    now = plan("gemma-3-27b", "96 GB card", "llama.cpp", context=32768).total("kv")
    then = plan("gemma-3-27b", "96 GB card", "llama.cpp", version="build 4000", context=32768).total("kv")
    ik = plan("gemma-3-27b", "96 GB card", "ik_llama.cpp", context=32768).total("kv")
    assert then == ik > 2 * now


def test_a_refusal_names_a_context_that_fits() -> None:
    """The context that a refusal offers is accepted when asked for."""
    refused = plan("llama-3.1-8b", "RTX 4060 Ti 16 GB", "llama.cpp", context=131072, flash_attention=True)
    assert refused.verdict == NO
    offered = next(r for r in refused.remedies if r.startswith("a context of at most"))
    tokens = int(offered.split()[5])
    again = plan("llama-3.1-8b", "RTX 4060 Ti 16 GB", "llama.cpp", context=tokens, flash_attention=True)
    assert again.verdict in (FITS, TIGHT)


def test_versions_are_compared_by_what_is_known() -> None:
    """Numbers first, then the build, then the month; nothing known gives no answer."""
    assert read_version("0.9.2 (2025-07)").before((0, 10), "2020-01") is True
    assert read_version("build 1691").before((1 << 30,), "2025-06", 5427) is True
    assert read_version("PR #13194 (2025-05-20)").before((9,), "2025-06") is True
    assert Version().before((1,), "2025-01") is None


def test_all_that_is_unknown_is_said_at_once() -> None:
    """Engine, cache type, device and model are each named, with near names."""
    question = FitQuestion("lama-3.1-8b", ("RTX 4091",), "olama", None, EngineSettings(type_k="q9"))
    with pytest.raises(BadInput) as caught:
        as_request(question)
    told = str(caught.value)
    for word in ("olama", "q9", "RTX 4091", "llama-3.1-8b"):
        assert word in told
