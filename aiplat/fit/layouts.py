"""Compares a site with the same site with a GPU in each machine: what fits, how fast, for how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from aiplat.fit.architecture import Architecture
from aiplat.fit.costs import MachineCost, Prices, machine, use
from aiplat.fit.division import divisors
from aiplat.fit.knowledge import knowledge
from aiplat.fit.known_models import find_architecture
from aiplat.fit.memory import plan_memory
from aiplat.fit.placement import FITS
from aiplat.fit.question import FitQuestion, as_request
from aiplat.fit.request import EngineSettings, shares_layers
from aiplat.fit.shares import devices_of
from aiplat.fit.slices import profile_in
from aiplat.fit.throughput import batched, single_stream
from aiplat.fit.weights import Weights
from aiplat.site.find import find_site
from aiplat.site.load import load_site
from aiplat.site.models import Host, Site

Read = Mapping[str, tuple[Architecture, Weights]]
"""Models by name, as their own files say they are."""

CONTEXT = 8192
EXAMPLE = "five-machines"
"""The built-in example: five machines, two of them with GPUs."""


@dataclass(frozen=True)
class _Asked:
    """What is tried on every machine: an engine with models, of which some were `read` from files."""

    engine: str
    models: tuple[str, ...]
    read: Read = field(default_factory=dict)


@dataclass(frozen=True)
class LayoutVerdict:
    """One model on one machine: the verdict, its reason, and tokens a second."""

    model: str
    host: str
    on: str
    """`GPU`, or `CPU`: where the GPUs are too small, Ollama runs it in the machine's own memory."""
    verdict: str
    why: str
    tok_s: tuple[float, float, float] | None
    """Low, likely and high."""


def planned_site(argument: str) -> Site:
    """Return the site that an argument means, the built-in example among them.

    Raises:
        BadInput: there is no such site, or something is wrong with it.
    """
    example = Path(__file__).with_name("data") / f"{EXAMPLE}.yaml"
    return load_site(example if argument == EXAMPLE else find_site(argument))


def compare_layouts(
    site: Site, engine: str, models: tuple[str, ...] = (), own: Read | None = None
) -> dict[str, Any]:
    """Return both layouts of a site with what fits in each and what it costs.

    Args:
        site: its hosts' `hardware` says what there is, its `costs` what it costs.
        engine: `ollama` (speeds of one stream) or `vllm` (of many at once, on GPUs).
        models: the models to try; left out, those that the site serves and a ladder of sizes.
        own: the models that the site has itself, as their files say they are.

    Raises:
        BadInput: a GPU, its price or a model is not known.
    """
    prices = Prices(site.costs)
    read = own or {}
    asked = _Asked(engine, models or _models(site, read), read)
    card = _card(site)
    layouts = {
        "mixed nodes": {host.name: host.hardware.gpus for host in site.hosts},
        "all nodes with GPU": {host.name: host.hardware.gpus or (card,) for host in site.hosts},
    }
    return {
        "kind": "FitSite",
        "site": site.name,
        "engine": engine,
        "context": CONTEXT,
        "layouts": [
            {"name": name, **_layout(site.hosts, gpus, asked, prices)} for name, gpus in layouts.items()
        ],
        "prices": [asdict(price) for price in prices.used.values()],
    }


def _models(site: Site, read: Read) -> tuple[str, ...]:
    known = [m.name for m in site.models if m.name in read or find_architecture(m.name)]
    return tuple(dict.fromkeys([*known, *knowledge("costs")["models"]]))


def _card(site: Site) -> str:
    """Return the card that machines without one would get: the site's most frequent, else a usual one."""
    cards = [name for host in site.hosts for name in host.hardware.gpus]
    return max(sorted(set(cards)), key=cards.count) if cards else str(knowledge("costs")["card"])


def _layout(
    hosts: tuple[Host, ...],
    gpus: dict[str, tuple[str, ...]],
    asked: _Asked,
    prices: Prices,
) -> dict[str, Any]:
    machines = [machine(host, gpus[host.name], prices) for host in hosts]
    # A card that the example adds is a whole one.
    seen = [devices_of(h) if h.hardware.gpus else gpus[h.name] for h in hosts]
    answers = {
        model: [_answer(model, one, asked, devices) for one, devices in zip(machines, seen, strict=True)]
        for model in asked.models
    }
    return {
        "machines": [asdict(one) for one in machines],
        "capex_eur": sum(one.eur for one in machines),
        "idle_w": sum(one.idle_w for one in machines),
        "load_w": sum(one.load_w for one in machines),
        "models": [_model(model, found, machines, prices) for model, found in answers.items()],
    }


def _answer(model: str, one: MachineCost, asked: _Asked, devices: tuple[str, ...]) -> LayoutVerdict:
    processor = _on(model, one, (f"cpu {one.cpu} {one.memory_gib} GB",), asked, on_cards=False)
    cards = _on(model, one, devices, asked, on_cards=True) if devices else processor
    return cards if cards.verdict == FITS or processor.verdict != FITS else processor


def _on(
    model: str, one: MachineCost, devices: tuple[str, ...], asked: _Asked, *, on_cards: bool
) -> LayoutVerdict:
    program = asked.engine if on_cards or asked.engine == "ollama" else f"{asked.engine}-cpu"
    read = asked.read.get(model)
    arch = read[0] if read else find_architecture(model)
    # A program sees one MIG instance, and only some engines are told how many cards share a layer.
    shared = on_cards and shares_layers(program) and not profile_in(devices[0], vgpu=False)
    together = divisors(arch, len(devices))[-1:] if arch and shared else []
    settings = EngineSettings(context=CONTEXT, tensor_parallel=together[0] if together else 1)
    stored = None if arch and arch.published else _stored(asked.engine)
    request = as_request(FitQuestion(model, devices, program, stored, settings, read))
    plan = plan_memory(request)
    speed = batched(request) if program == "vllm" else None
    speed = speed or single_stream(request)
    ran = speed if plan.verdict == FITS else None
    span = (ran.low, ran.likely, ran.high) if ran else None
    return LayoutVerdict(
        model, one.host, "GPU" if on_cards else "CPU", plan.verdict, plan.why[0] if plan.why else "", span
    )


def _stored(engine: str) -> str:
    # Four bits are what small sites run; a checkpoint in 16 bits would fit on none of their cards.
    return "awq" if engine == "vllm" else "Q4_K_M"


def _model(
    model: str, answers: list[LayoutVerdict], machines: list[MachineCost], prices: Prices
) -> dict[str, Any]:
    spans = [answer.tok_s for answer in answers if answer.tok_s]
    low, likely, high = (sum(span[i] for span in spans) for i in range(3))
    # Each machine that holds the model serves it; the others' purchase and rest are paid all the same.
    at_work = [_at_work(one, answer, prices) for one, answer in zip(machines, answers, strict=True)]
    shares = knowledge("costs")["shares"]
    return {
        "model": model,
        "on": [asdict(answer) for answer in answers],
        "tok_s": {"low": low, "likely": likely, "high": high} if spans else None,
        "use": [asdict(use(at_work, likely, share, prices)) for share in shares] if spans else [],
    }


def _at_work(one: MachineCost, answer: LayoutVerdict, prices: Prices) -> MachineCost:
    """Return the machine with what it draws while it serves this model: at rest where it cannot."""
    if answer.tok_s is None:
        return replace(one, load_w=one.idle_w)
    if answer.on == "CPU":
        return replace(one, load_w=one.idle_w + prices.value("machine_load") - prices.value("machine_idle"))
    return one
