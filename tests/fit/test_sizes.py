"""Weights and caches have the sizes that engines print for them."""

from __future__ import annotations

import pytest

from aiplat.fit.architecture import Architecture, parameters
from aiplat.fit.knowledge import GIB, MIB, knowledge
from aiplat.fit.known_models import as_architecture, find_architecture, near_names
from aiplat.fit.kv_cache import Cells, layer_bytes, token_bytes
from aiplat.fit.quantisation import cache_bits, find_quantisation
from aiplat.fit.weights import counted_weights


def known(name: str) -> Architecture:
    """Return a known model's shape."""
    arch = find_architecture(name)
    assert arch, name
    return arch


@pytest.mark.parametrize(
    ("model", "quantisation", "bits_per_weight"),
    [
        ("llama-3-8b", "Q4_K_M", 4.89),
        ("llama-3-8b", "Q5_K - Small", 5.52),
        ("llama-2-70b", "Q4_0", 4.51),
        ("deepseek-v3", "Q4_K - Medium", 4.822),
        ("qwen3-235b-a22b", "Q6_K", 6.57),
        ("gemma-3-27b", "Q4_0", 4.624),
        ("qwen3-30b-a3b", "Q5_K - Medium", 5.69),
        ("llama-1-65b", "F16", 16.0),
    ],
)
def test_quantised_files_have_the_size_that_quantisers_print(
    model: str, quantisation: str, bits_per_weight: float
) -> None:
    """Bits per weight of whole files are met within one percent, without knowing any of them."""
    arch, found = known(model), find_quantisation(quantisation, checkpoint=False)
    assert found
    size = counted_weights(arch, found).total
    assert size * 8 / parameters(arch) == pytest.approx(bits_per_weight, rel=0.01)


@pytest.mark.parametrize(
    ("model", "billions"),
    [("llama-3-8b", 8.03), ("gemma-3-12b", 11.77),
     ("qwen3-30b-a3b", 30.5), ("gpt-oss-20b", 20.9),
     ("phi-4", 14.7), ("mixtral-8x7b", 46.7), ("deepseek-v2-lite", 15.7),
     ("qwen2.5-0.5b", 0.494), ("glm-4-9b", 9.4)],
)  # fmt: skip
def test_shapes_have_the_published_number_of_parameters(model: str, billions: float) -> None:
    """What the shape alone gives is what makers publish."""
    arch = known(model).model_copy(update={"params_b": None})
    assert parameters(arch) / 1e9 == pytest.approx(billions, rel=0.015)


@pytest.mark.parametrize(
    ("text", "checkpoint", "name"),
    [
        ("Q4_K - Medium", False, "Q4_K_M"),
        ("IQ4_XS - 4.25 bpw", False, "IQ4_XS"),
        ("Q8_0_R8 - 8.5 bpw", False, "Q8_0"),
        ("q4_0", False, "Q4_0"),
        ("Q5_K_XL", False, "Q5_K_M"),
        ("fp8", True, "fp8"),
        ("AWQ-INT4", True, "awq"),
        ("GPTQ-Int8", True, "int8"),
        ("w8a8 int8", True, "int8"),
        ("bf16/fp16 (not stated)", True, "16-bit"),
        ("NVFP4 (unsloth)", True, "nvfp4"),
        ("MXFP4", True, "mxfp4"),
    ],
)
def test_quantisations_are_found_under_their_many_names(text: str, checkpoint: bool, name: str) -> None:
    """Logs, file names and people write the same thing differently."""
    found = find_quantisation(text, checkpoint=checkpoint)
    assert found
    assert found.name == name


def test_what_names_no_quantisation_is_not_guessed() -> None:
    """Words without a format give none."""
    assert find_quantisation("not stated", checkpoint=False) is None
    assert find_quantisation("", checkpoint=True) is None
    assert cache_bits("nonsense") is None


def test_plain_caches_are_what_engines_print() -> None:
    """Two bytes a key and value element: 1024 MiB for 8192 tokens of an 8B model; q8_0 takes 34 of 64."""
    arch = known("llama-3-8b")
    plain = sum(layer_bytes(arch, token_bytes(arch, None, None, latent=False), Cells(8192, 8192)))
    assert plain == 1024 * MIB
    assert (
        token_bytes(arch, "q8_0", "q8_0", latent=False)
        == token_bytes(arch, None, None, latent=False) * 34 / 64
    )


def test_windows_latents_and_states_shrink_the_cache() -> None:
    """Sliding windows, MLA and recurrent layers keep what they keep, not the whole context."""
    gemma = known("gemma-3-12b")
    per_token = token_bytes(gemma, None, None, latent=False)
    windowed = sum(layer_bytes(gemma, per_token, Cells(8192, 2 * 1024 + 512, 2)))
    assert windowed / GIB == pytest.approx(1.28, abs=0.01)
    deepseek = known("deepseek-v3")
    latent = sum(layer_bytes(deepseek, token_bytes(deepseek, None, None, latent=True), Cells(2048, 2048)))
    expanded = sum(layer_bytes(deepseek, token_bytes(deepseek, None, None, latent=False), Cells(2048, 2048)))
    assert latent / MIB == pytest.approx(137.25, abs=0.01)
    assert expanded / MIB == pytest.approx(9760, abs=1)
    hybrid = known("qwen3.5-27b")
    short, long = (
        sum(layer_bytes(hybrid, token_bytes(hybrid, None, None, latent=False), Cells(n, n)))
        for n in (1024, 65536)
    )
    assert long - short == (65536 - 1024) * 16 * 2 * 4 * 256 * 2


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("llama3.1:8b", "llama-3.1-8b"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("unsloth/meta-llama-3.1-8b-instruct-unsloth-bnb-4bit", "llama-3.1-8b"),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "qwen3-235b-a22b"),
        ("gemma3:27b (gemma3, Q4_K_M, 1247 tensors)", "gemma-3-27b"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", "deepseek-r1-distill-qwen-14b"),
        ("Qwen3 235B A22B", "qwen3-235b-a22b"),
        ("c4ai-command-r7b-12-2024-Q6_K_L", "command-r7b"),
    ],
)
def test_models_are_found_under_their_many_names(name: str, found: str) -> None:
    """Repositories, Ollama's tags and file names lead to the same shape."""
    assert known(name).name == found


def test_unknown_models_are_not_guessed() -> None:
    """A name that is not known gives none, and near ones are offered."""
    assert find_architecture("a-model-of-ours") is None
    assert "llama-3.1-8b" in near_names("lama-3.1-8b")


def test_every_entry_of_the_data_is_complete() -> None:
    """Each architecture can be counted, and each names where its config.json is published."""
    for name, entry in knowledge("architectures")["architectures"].items():
        arch = as_architecture(name, entry)
        assert arch, name
        assert arch.hf, name
        assert parameters(arch) > 1e6, name
