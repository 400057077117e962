"""A quantised checkpoint whose makers leave parts in 16 bits is counted with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiplat.fit.huggingface import read_snapshot
from aiplat.fit.known_models import find_architecture
from aiplat.fit.quantisation import find_quantisation
from aiplat.fit.weights import counted_weights

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "hidden_size": 512,
    "intermediate_size": 1024,
    "vocab_size": 1000,
}
ATTENTION, FEED_FORWARD, ENDS = 4 * 512 * 512, 3 * 512 * 1024, 2 * 1000 * 512


def gib(name: str, stored: str) -> float:
    """Return the GiB of a model under a quantisation as somebody named it."""
    arch, quantisation = find_architecture(name), find_quantisation(stored, checkpoint=True)
    assert arch
    assert quantisation
    return counted_weights(arch, quantisation).total / 2**30


def test_the_makers_fp8_of_the_largest_llama_has_its_attention_in_16_bits() -> None:
    """It loads about 57 GiB on each of eight cards; others quantised its attention too, to 48."""
    assert gib("llama-3.1-405b", "fp8") / 8 == pytest.approx(57, rel=0.02)
    assert gib("llama-3.1-405b", "neuralmagic/Meta-Llama-3.1-405B-Instruct-FP8") / 8 < 48


def test_a_mixture_whose_experts_alone_are_quantised_is_larger_than_its_parameters_say() -> None:
    """Kimi K2 Thinking in 4 bits is published with 594 GB."""
    assert gib("kimi-k2-thinking", "int4") * 2**30 / 1e9 == pytest.approx(594, rel=0.08)


@pytest.mark.parametrize(
    ("method", "sixteen"),
    [
        ({"quant_method": "fp8"}, 0),
        ({"quant_method": "fp8", "modules_to_not_convert": ["lm_head"]}, 0),
        ({"quant_method": "fp8", "modules_to_not_convert": ["self_attn"]}, 4 * ATTENTION),
        (
            {
                "quant_method": "fbgemm_fp8",
                "modules_to_not_convert": ["model.layers.0", "model.layers.3.mlp"],
            },
            ATTENTION + 2 * FEED_FORWARD,
        ),
        ({"quant_method": "fp8", "ignore": ["re:.*self_attn.*", "lm_head"]}, 4 * ATTENTION),
        ({"quant_method": "fp8", "ignored_layers": ["model.layers.1.self_attn.q_proj"]}, ATTENTION // 4),
        ({"quant_method": "fp8", "ignore": ["re:(a+)+$", "re:[", 7, ""]}, 0),
    ],
)
def test_what_a_config_leaves_alone_is_counted_in_16_bits(
    tmp_path: Path, method: dict[str, Any], sixteen: int
) -> None:
    """By whole names, parts of names and patterns; what does not name modules leaves nothing alone."""
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "quantization_config": method}))
    _, weights = read_snapshot(tmp_path)
    assert weights.total == 4 * (ATTENTION + FEED_FORWARD) + sixteen + 2 * ENDS
