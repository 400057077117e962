"""Cases are read as people write them: other words for the same setting, engine or amount."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.fit.memory import plan_memory
from aiplat.fit.placement import FITS, NO, TIGHT
from aiplat.fit.request import Incomplete, Request, read_request


def case(**changes: Any) -> dict[str, Any]:
    """Return a complete case with changes."""
    base: dict[str, Any] = {
        "engine": "llama.cpp",
        "model": {"name": "llama-3.1-8b", "quant": "Q4_K_M"},
        "hardware": {"gpu": "RTX 4090", "count": 1},
        "config": {"n_ctx": 8192},
    }
    return base | changes


def asked(**changes: Any) -> Request:
    """Return the request of a case that is complete."""
    request = read_request(case(**changes))
    assert isinstance(request, Request), request
    return request


@pytest.mark.parametrize(
    ("said", "engine"),
    [
        ("llama-server", "llama.cpp"),
        ("llama.cpp (Vulkan)", "llama.cpp"),
        ("llamacpp", "llama.cpp"),
        ("Ollama", "ollama"),
        ("vLLM", "vllm"),
        ("ik_llama.cpp", "ik_llama.cpp"),
        ("vllm-cpu", "vllm-cpu"),
        ("sglang", "sglang"),
    ],
)
def test_engines_are_found_under_their_many_names(said: str, engine: str) -> None:
    """Servers, backends and capital letters do not make another engine."""
    assert asked(engine=said).engine == engine


@pytest.mark.parametrize(
    "config", [{"num_ctx": 32768}, {"ctx_size": "32768"}, {"n_ctx": "32k"}, {"context": 32768.0}]
)
def test_settings_have_many_names_and_forms(config: dict[str, Any]) -> None:
    """A context is one, whichever flag or variable it came from."""
    assert asked(config=config).settings.context == 32768


def test_variables_of_ollama_are_settings() -> None:
    """What an environment says counts as what a file says."""
    config = {
        "OLLAMA_NUM_PARALLEL": 4,
        "OLLAMA_KV_CACHE_TYPE": "q8_0",
        "OLLAMA_FLASH_ATTENTION": "1",
        "n_ctx": 8192,
    }
    settings = asked(engine="ollama", config=config).settings
    assert (settings.parallel, settings.type_k, settings.flash_attention) == (4, "q8_0", True)


def test_layers_left_in_memory_are_no_fit_on_the_card() -> None:
    """Fewer layers than there are, as asked, is a plan that works and is called tight, with the reason."""
    assert plan_memory(asked(config={"n_ctx": 8192, "n_gpu_layers": "all"})).verdict == FITS
    for layers in (0, 20):
        plan = plan_memory(asked(config={"n_ctx": 8192, "n_gpu_layers": layers}))
        assert plan.verdict == TIGHT
        assert "stay in RAM, as asked" in plan.why[-1]
    none = plan_memory(asked(config={"n_ctx": 8192, "n_gpu_layers": 0}))
    assert none.loads[0].weights == 0


def test_several_cards_without_a_word_are_neither_fit_nor_refused() -> None:
    """Nobody said whether vLLM was told to use both cards."""
    two = {"gpu": "RTX 3090", "count": 2}
    model = {"name": "llama-3.1-8b", "quant": "bf16"}
    unsaid = plan_memory(asked(engine="vllm", model=model, hardware=two, config={"max_model_len": 65536}))
    assert unsaid.verdict == TIGHT
    assert "--tensor-parallel-size 2" in unsaid.remedies[0]
    config = {"max_model_len": 65536, "tensor_parallel_size": 2}
    assert plan_memory(asked(engine="vllm", model=model, hardware=two, config=config)).verdict == FITS
    config["tensor_parallel_size"] = 1
    assert plan_memory(asked(engine="vllm", model=model, hardware=two, config=config)).verdict == NO


def test_doubtful_checkpoints_need_room_for_the_doubt() -> None:
    """NVFP4 files of one model differ by a third in size: what fits just so is called tight."""
    config = {"max_model_len": 8192, "gpu_memory_utilization": 0.9}
    model = {"name": "Qwen3-32B", "quant": "NVFP4"}
    plan = plan_memory(asked(engine="vllm", model=model, hardware={"gpu": "RTX 5090"}, config=config))
    assert plan.verdict == TIGHT


def test_what_is_missing_is_named() -> None:
    """An unknown model, engine and quantisation are all said at once."""
    found = read_request({"engine": "some-engine", "model": {"name": "a-model-of-ours"}})
    assert isinstance(found, Incomplete)
    assert any("a-model-of-ours" in reason for reason in found.reasons)
    assert any("some-engine" in reason for reason in found.reasons)


def test_defaults_that_were_taken_are_named() -> None:
    """The library's quantisation and vLLM's share are told as assumptions."""
    assert "library" in asked(engine="ollama", model={"name": "llama3.1:8b"}).assumed[0]
    assert any("gpu_memory_utilization" in word for word in asked(engine="vllm").assumed)
    embeds = asked(engine="ollama", model={"name": "nomic-embed-text"})
    assert embeds.weights.quantisation == "F16"


def test_a_name_that_sees_brings_its_projector() -> None:
    """A vision model whose architecture names the language part alone is taken with its eyes."""
    model = {
        "name": "unsloth/qwen2.5-vl-7b-instruct-unsloth-bnb-4bit",
        "arch": "qwen2.5-7b",
        "quant": "bnb-4bit",
    }
    assert asked(engine="vllm", model=model).arch.vision
