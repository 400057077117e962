"""What is asked: a model on an engine on devices with settings; answering it belongs in aiplat.fit.memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiplat.fit.architecture import Architecture
from aiplat.fit.hardware import Hardware, read_hardware
from aiplat.fit.knowledge import constant
from aiplat.fit.known_models import as_architecture, find_architecture
from aiplat.fit.quantisation import Quantisation, cache_bits, find_quantisation, published_quantisation
from aiplat.fit.weights import Weights, counted_weights

_MOST = 1 << 40  # tokens, layers or GPUs; what is beyond, or no number at all, says nothing
ENGINES = ("ollama", "llama.cpp", "ik_llama.cpp", "vllm", "vllm-cpu")
DEFAULT_ENGINE = "ollama"
COMPARED = ("ollama", "vllm")
"""Engines whose layouts on a site's machines are compared."""
_SPELLINGS = (
    (r"ik_llama|ik-llama", "ik_llama.cpp"),
    (r"ollama\b", "ollama"),
    (r"llama[-_. ]?(cpp|server|cli|bench|file)|llama\.cpp|ggml|koboldcpp", "llama.cpp"),
    (r"vllm-cpu\b", "vllm-cpu"),
    (r"vllm(?!-ascend)", "vllm"),
)
# Programs whose speed follows from the same shapes, while how they reserve memory is not modelled.
_OTHER_PROGRAMS = ("sglang", "tensorrt-llm", "transformers", "vllm-ascend")
_ENCODES = re.compile(r"infinity|sentence-transformers|tei\b|text-embeddings")
_UNSAID = re.compile(r"\b(not (re)?stated|not in excerpt|unknown|library default|n/a)", re.IGNORECASE)


def counts_one_request(engine: str) -> bool:
    """Whether an engine's context is that of one request, rather than of all of them together."""
    return engine.startswith("vllm")


def shares_layers(engine: str) -> bool:
    """Whether an engine is told over how many cards to share each layer; others lay layers out."""
    return engine == "vllm"


def without_gpus(engine: str) -> str:
    """Return the rules of an engine on a machine that has no GPU."""
    return "vllm-cpu" if engine == "vllm" else engine


def batches(engine: str) -> bool:
    """Whether its speed for many requests at once can be computed."""
    return engine == "vllm"


@dataclass(frozen=True)
class Request:
    """One model on one engine and its devices, with every setting that costs memory."""

    engine: str
    version: Version
    arch: Architecture
    weights: Weights
    hardware: Hardware
    settings: EngineSettings
    assumed: tuple[str, ...] = ()
    """Inputs that nobody gave and that were taken from what the engine does by itself."""
    program: str = ""
    """What runs it, by its own name: sglang shares vLLM's arithmetic of speed, not its memory."""
    mixture: bool = False
    """The quantisation is a mixture made by hand: its size is an estimate."""


@dataclass(frozen=True)
class EngineSettings:
    """How the engine is started. None: the engine decides."""

    context: int | None = None
    """Tokens of one sequence: n_ctx over all slots for llama.cpp and Ollama, max_model_len for vLLM."""
    parallel: int = 1
    batch: int | None = None
    ubatch: int | None = None
    flash_attention: bool | None = None
    type_k: str | None = None
    type_v: str | None = None
    mla: int | bool | None = None
    swa_full: bool | None = None
    gpu_layers: int | None = None
    utilisation: float | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int = 1
    context_parallel: int = 1
    max_seqs: int | None = None
    batched_tokens: int | None = None
    eager: bool = False
    v1: bool | None = None
    cpu_kv_gib: float | None = None
    reserved: int = 0
    """Bytes of each device that the engine is told to leave alone."""


@dataclass(frozen=True)
class Version:
    """An engine's version as far as it is known: numbers, build and month of release."""

    numbers: tuple[int, ...] = ()
    build: int = 0
    month: str = ""

    def before(self, numbers: tuple[int, ...], month: str, build: int = 0) -> bool | None:
        """Say whether it is older than a release known by number, month or build; None: nobody can tell."""
        if self.numbers:
            return self.numbers < numbers
        if self.build and build:
            return self.build < build
        return self.month < month if self.month else None


def default_utilisation(version: Version) -> float:
    """Return the share of a card that vLLM takes where nobody says; versions that nobody knows take less."""
    recent = version.before((0, 20), "2026-04") is False
    return constant("vllm", "utilisation" if recent else "utilisation_before_0_20")


@dataclass(frozen=True)
class Incomplete:
    """A question that lacks what an answer needs."""

    reasons: tuple[str, ...]


@dataclass
class _Reading:
    """Collects what is missing and what was assumed while a case is read."""

    missing: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)


def utilisation(request: Request) -> float:
    """Return the share of each card that vLLM takes."""
    return request.settings.utilisation or default_utilisation(request.version)


def read_version(text: Any) -> Version:
    """Return what a text says of a version: `0.9 (2025-07)`, `build 1691`, `b5427`, `PR of 2025-05-20`."""
    words = str(text or "")
    number = re.search(r"\bv?(\d+)\.(\d+)(?:\.(\d+|x))?", words)
    month = re.search(r"\b(20\d\d-\d\d)", words)
    build = re.search(r"\b(?:build |b)(\d{3,5})\b", words)
    numbers = tuple(int(part) for part in number.groups() if part and part.isdigit()) if number else ()
    return Version(numbers, int(build[1]) if build else 0, month[1] if month else "")


def without_notes(value: Any) -> Any:
    """Return a block of a case without its remarks: what is said beside the facts decides nothing."""
    if isinstance(value, Mapping):
        return {
            k: without_notes(v)
            for k, v in value.items()
            if not re.search(r"(^|_)(notes?|log|source)$", str(k))
        }
    return value


def block(case: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one block of a case without its remarks; nothing where it is missing or no block."""
    said = case.get(name)
    return dict(without_notes(said)) if isinstance(said, Mapping) else {}


def read_request(case: Mapping[str, Any], shapes: Mapping[str, Any] | None = None) -> Request | Incomplete:
    """Return what a case asks, from its engine, model, hardware and config alone.

    Args:
        case: a case as in a file of cases.
        shapes: further architectures by name, in the words of our own data file or of published tables.
    """
    reading = _Reading()
    engine = _engine(case.get("engine"), reading)
    version = read_version(case.get("engine_version"))
    model = block(case, "model")
    settings = _settings(block(case, "config"), engine)
    arch = _architecture(model, shapes)
    if arch is None:
        reading.missing.append(
            f"the shape of {model.get('arch') or model.get('name') or 'the model'!r} is not known"
        )
    quantisation = _quantisation(model, arch, engine, version, reading)
    hardware = read_hardware(block(case, "hardware"))
    if engine == "vllm" and settings.utilisation is None:
        reading.assumed.append(f"gpu_memory_utilization ({default_utilisation(version)})")
    if any(gpu.shared for gpu in hardware.gpus):
        reading.assumed.append("what other programs hold of the card (not said)")
    if arch is None or quantisation is None or not engine:
        return Incomplete(tuple(reading.missing))
    return Request(
        engine,
        version,
        arch,
        counted_weights(arch, quantisation),
        hardware,
        settings,
        tuple(reading.assumed),
        _program(case.get("engine")),
        quantisation.custom,
    )


def _engine(said: Any, reading: _Reading) -> str:
    name = _program(said)
    known = next((engine for pattern, engine in _SPELLINGS if re.match(pattern, name)), "")
    if known:
        return known
    if name in _OTHER_PROGRAMS or _ENCODES.search(name):
        return name
    reading.missing.append(f"the engine {name or '(none)'!r} is not modelled")
    return ""


def _program(said: Any) -> str:
    return str(said or "").lower().split(" (")[0].strip()


def _architecture(model: Mapping[str, Any], shapes: Mapping[str, Any] | None) -> Architecture | None:
    inline = model.get("architecture")
    if isinstance(inline, Mapping):
        return as_architecture(str(model.get("name", "model")), inline)
    found = [
        arch
        for key in ("arch", "name")
        if model.get(key) and (arch := find_architecture(str(model[key]), shapes))
    ]
    # A name may say that the model sees, where its architecture speaks of the language part alone.
    sees = [arch for arch in found if arch.vision and arch.hidden == found[0].hidden]
    return next(iter(sees or found), None)


def _quantisation(
    model: Mapping[str, Any], arch: Architecture | None, engine: str, version: Version, reading: _Reading
) -> Quantisation | None:
    said, name = str(model.get("quant") or ""), str(model.get("name") or "")
    checkpoint = engine not in ("ollama", "llama.cpp", "ik_llama.cpp")
    named = said if not _UNSAID.match(said) else ""
    # `unsloth-bnb-4bit` in a repository's name says more than `bnb-4bit` beside it.
    found = (
        find_quantisation(f"{named} {name}" if checkpoint else named, checkpoint=checkpoint)
        if named
        else None
    )
    found = found or find_quantisation(name.partition("/")[2] or name, checkpoint=checkpoint)
    published = published_quantisation(arch, checkpoint=checkpoint) if arch else None
    if found is None and published:
        reading.assumed.append(f"quantisation (as published, {published.name})")
        found = published
    elif found is None and (engine == "ollama" or "library default" in said):
        older = version.before((0, 3, 14), "2024-10")
        embeds = find_architecture(name)
        default = "F16" if embeds and embeds.encoder else "Q4_0" if older else "Q4_K_M"
        reading.assumed.append(f"quantisation (the library's default, {default})")
        found = find_quantisation(default, checkpoint=False)
    elif found is None and checkpoint:
        reading.assumed.append("quantisation (16-bit, as most checkpoints are published)")
        found = find_quantisation("bf16", checkpoint=True)
    elif found is None:
        reading.missing.append("the quantisation is not stated")
    return found


def _settings(config: Mapping[str, Any], engine: str) -> EngineSettings:
    served = engine.startswith("vllm")
    slots = ("n_ctx", "num_ctx", "ctx", "ctx_size", "context", "context_length", "OLLAMA_CONTEXT_LENGTH")
    window = ("max_model_len", "max_seq_len")
    return EngineSettings(
        # vLLM's window is called max_model_len, everybody else's n_ctx.
        context=_whole(_first(config, *(window + slots if served else slots + window))),
        parallel=_whole(_first(config, "num_parallel", "n_parallel", "parallel", "OLLAMA_NUM_PARALLEL")) or 1,
        batch=_whole(_first(config, "n_batch", "num_batch", "batch_size")),
        ubatch=_whole(_first(config, "n_ubatch", "ubatch", "ubatch_size")),
        flash_attention=_flag(_first(config, "flash_attn", "flash_attention", "OLLAMA_FLASH_ATTENTION")),
        type_k=_cache_type(config, "type_k", "cache_type_k", "ctk"),
        type_v=_cache_type(config, "type_v", "cache_type_v", "ctv"),
        mla=_first(config, "mla_attn", "mla"),
        swa_full=_flag(config.get("swa_full")),
        gpu_layers=_layers(_first(config, "n_gpu_layers", "num_gpu", "gpu_layers", "ngl")),
        utilisation=_share(_first(config, "gpu_memory_utilization", "gpu_memory_utilisation")),
        tensor_parallel=_whole(_first(config, "tensor_parallel", "tensor_parallel_size", "tp")),
        pipeline_parallel=_whole(_first(config, "pipeline_parallel", "pipeline_parallel_size", "pp")) or 1,
        context_parallel=_whole(_first(config, "decode_context_parallel", "dcp_size")) or 1,
        max_seqs=_whole(config.get("max_num_seqs")),
        batched_tokens=_whole(config.get("max_num_batched_tokens")),
        eager=bool(_flag(config.get("enforce_eager"))),
        v1=_flag(config.get("VLLM_USE_V1")),
        cpu_kv_gib=_share(_first(config, "cpu_kv_cache_gib", "VLLM_CPU_KVCACHE_SPACE")),
        reserved=_whole(config.get("OLLAMA_GPU_OVERHEAD")) or 0,
    )


def _first(config: Mapping[str, Any], *names: str) -> Any:
    """Return the first setting that is there: flags and variables have other names for one thing."""
    return next((config[name] for name in names if config.get(name) is not None), None)


def _whole(value: Any) -> int | None:
    """Return a positive whole number, also where it is written as `8192`, `32k` or `128K`."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*(k?)\s*", value.lower()) if isinstance(value, str) else None
    if match:
        value = int(match[1]) * (1024 if match[2] else 1)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if number and 0 < value <= _MOST else None


def _layers(value: Any) -> int | None:
    """Return how many layers go to the GPU; None for all of them (`all`, -1)."""
    return 0 if value == 0 and not isinstance(value, bool) else _whole(value)


def _share(value: Any) -> float | None:
    return (
        float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
    )


def _flag(value: Any) -> bool | None:
    words = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
    return words.get(str(value).lower())


def _cache_type(config: Mapping[str, Any], *names: str) -> str | None:
    value = _first(config, *names, "kv_cache_dtype", "kv_cache_type", "OLLAMA_KV_CACHE_TYPE")
    return str(value) if value and cache_bits(str(value)) else None
