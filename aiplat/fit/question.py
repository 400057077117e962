"""Turns what a person asks (a model's name or files, devices by name) into a request; answers nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from aiplat.errors import BadInput, Finding
from aiplat.fit.architecture import Architecture
from aiplat.fit.devices import doubt_about, find_device, near_devices, of_the_same_name
from aiplat.fit.gguf import read_gguf
from aiplat.fit.hardware import Hardware, read_hardware
from aiplat.fit.huggingface import read_snapshot
from aiplat.fit.known_models import find_architecture, known_names, near_names
from aiplat.fit.quantisation import cache_bits, find_quantisation, published_quantisation
from aiplat.fit.request import ENGINES, EngineSettings, Request, Version
from aiplat.fit.weights import Weights, counted_weights
from aiplat.state import expanded

# People ask about engines as they are now, so that none of the rules of older ones hold.
CURRENT = Version(month="9999-12")


@dataclass(frozen=True)
class FitQuestion:
    """One question as it stands on a command line."""

    model: str
    devices: tuple[str, ...]
    engine: str
    quantisation: str | None
    settings: EngineSettings
    read: tuple[Architecture, Weights] | None = None
    """What the model's own files say, where they were read already; its name then means nothing."""


def as_request(question: FitQuestion) -> Request:
    """Return the request that a question means.

    Raises:
        BadInput: model, device, engine or a type of cache is not known; all that is wrong at once.
    """
    wrong: list[Finding] = []
    if question.engine not in ENGINES:
        wrong.append(Finding("--engine", f"{question.engine!r} is not known", f"use {', '.join(ENGINES)}"))
    if question.settings.type_k and not cache_bits(question.settings.type_k):
        wrong.append(
            Finding("--kv-type", f"{question.settings.type_k!r} is not known", "use f16, q8_0, q4_0 or fp8")
        )
    hardware = _hardware(question.devices, wrong)
    found, assumed = _model(question, wrong)
    if wrong or found is None or hardware is None:
        raise BadInput(wrong)
    arch, weights = found
    assumed += _cards_assumed(question.devices)
    settings = question.settings
    if question.engine == "llama.cpp" and settings.flash_attention is None:
        settings = replace(settings, flash_attention=True)
        assumed.append("flash attention (on, as llama.cpp decides on most devices)")
    return Request(
        question.engine, CURRENT, arch, weights, hardware, settings, tuple(assumed), question.engine
    )


def read_devices(devices: tuple[str, ...]) -> Hardware:
    """Return the devices that people name.

    Raises:
        BadInput: none is named, or one is not known, with names that are alike.
    """
    wrong: list[Finding] = []
    hardware = _hardware(devices, wrong)
    if wrong or hardware is None:
        raise BadInput(wrong)
    return hardware


def _hardware(devices: tuple[str, ...], wrong: list[Finding]) -> Hardware | None:
    if not devices:
        wrong.append(
            Finding("--device", "no device is named", "name one, as --device 'RTX 4090' or 'cpu 64 GB'")
        )
        return None
    found = [read_hardware({"gpu": text}) for text in devices]
    for text, hardware in zip(devices, found, strict=True):
        if doubt := doubt_about(find_device(text), text):
            problem, _, fix = doubt.partition("; ")
            wrong.append(Finding(f"--device {text!r}", problem, fix))
        elif hardware.unclear:
            near = near_devices(text)
            fix = f"did you mean {' or '.join(near)}?" if near else "say its memory, as '24 GB card'"
            wrong.append(Finding(f"--device {text!r}", "is not known", fix))
    cpus = [hardware.cpu for hardware in found if not hardware.gpus]
    return Hardware(
        tuple(gpu for hardware in found for gpu in hardware.gpus), cpus[0] if cpus else found[0].cpu
    )


def _cards_assumed(devices: tuple[str, ...]) -> list[str]:
    """Return which card was taken where a name is that of several with different memory."""
    taken = {text: (find_device(text), of_the_same_name(text)) for text in devices}
    return [
        f"card ({device.name}, the smallest that {text!r} means; {' or '.join(others)}, if you name it)"
        for text, (device, others) in taken.items()
        if device and others
    ]


def _model(
    question: FitQuestion, wrong: list[Finding]
) -> tuple[tuple[Architecture, Weights] | None, list[str]]:
    if read := question.read or _files(expanded(Path(question.model))):
        return read, []
    arch = find_architecture(question.model)
    if arch is None:
        near = near_names(question.model)
        fix = f"did you mean {' or '.join(near)}?" if near else "name a .gguf file or a snapshot's folder"
        wrong.append(Finding(question.model, f"is none of the {len(known_names())} known models", fix))
        return None, []
    checkpoint = question.engine.startswith("vllm")
    default = "bf16" if checkpoint else "Q4_K_M"
    text = question.quantisation or question.model
    quantisation = find_quantisation(text, checkpoint=checkpoint)
    if quantisation is None and question.quantisation:
        wrong.append(
            Finding("--quant", f"{question.quantisation!r} is not known", "use Q4_K_M, Q8_0, F16, fp8, awq …")
        )
        return None, []
    if quantisation:
        return (arch, counted_weights(arch, quantisation)), []
    published = published_quantisation(arch, checkpoint=checkpoint)
    quantisation = published or find_quantisation(default, checkpoint=checkpoint)
    assert quantisation  # noqa: S101 - the defaults are known
    said = f"quantisation (as published, {published.name})" if published else f"quantisation ({default})"
    return (arch, counted_weights(arch, quantisation)), [said]


def _files(path: Path) -> tuple[Architecture, Weights] | None:
    if path.suffix == ".gguf":
        return read_gguf(path)
    return read_snapshot(path) if path.is_dir() or path.name == "config.json" else None


def with_context(request: Request, tokens: int) -> Request:
    """Return the request for sequences of another length."""
    return replace(request, settings=replace(request.settings, context=tokens))
