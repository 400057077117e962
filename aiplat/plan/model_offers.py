"""What of the catalogue fits on devices, best first, and what each model needs; asks no host."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from aiplat.catalog.catalog import Catalog
from aiplat.catalog.components import CatalogModel, Component
from aiplat.errors import BadInput, Finding
from aiplat.fit.division import divisors
from aiplat.fit.hardware import Hardware
from aiplat.fit.known_models import find_architecture
from aiplat.fit.memory import plan_memory
from aiplat.fit.placement import FITS, INCOMPLETE, NO, TIGHT, MemoryPlan, gib
from aiplat.fit.question import FitQuestion, as_request, read_devices
from aiplat.fit.request import (
    EngineSettings,
    Request,
    counts_one_request,
    shares_layers,
    without_gpus,
)
from aiplat.fit.throughput import Speed, single_stream
from aiplat.plan.model_choice import READABLE, parameters_of

CONTEXT = 8192
_VAST = ("9999 GB card",)  # on which everything fits, so that just the need is computed
_KINDS = ("anything", "code", "reasoning", "embedding")
_VERDICTS = (FITS, TIGHT, NO, INCOMPLETE)


@dataclass(frozen=True)
class CatalogOffer:
    """A model on an engine: whether it fits on the devices, why, and how fast one request is answered.

    `cards` is over how many of the devices a layer is to be shared; 1 also where the engine decides.
    """

    model: CatalogModel
    engine: str
    verdict: str
    why: tuple[str, ...]
    remedies: tuple[str, ...]
    need: float
    context: int
    cards: int
    speed: Speed | None = None

    @property
    def kind(self) -> Literal["anything", "code", "reasoning", "embedding"]:
        """What it is for."""
        return "embedding" if set(self.model.features) == {"embedding"} else self.model.suits

    @property
    def readable(self) -> bool:
        """Whether it answers about as fast as people read; where nobody knows, it counts as if."""
        return self.speed is None or self.kind == "embedding" or self.speed.likely >= READABLE

    @property
    def fits(self) -> bool:
        """Whether it can be served there, be it with little room."""
        return self.verdict in (FITS, TIGHT)

    @property
    def reason(self) -> str:
        """One sentence: what it takes and how fast it is, or why it does not fit and what would."""
        if not self.fits:
            return self.why[0] + (f"; would fit: {self.remedies[0]}" if self.remedies else "")
        takes = f"takes {gib(self.need)} with {self.context} tokens of context"
        shared = f" on each of {self.cards} cards" if self.cards > 1 else ""
        room = " and little room is left" if self.verdict == TIGHT else ""
        return f"{takes}{shared}{room}{self._pace}"

    @property
    def _pace(self) -> str:
        if self.speed is None or self.kind == "embedding":
            return ""
        slow = "" if self.readable else ", slower than people read"
        return f"; about {self.speed.likely:.0f} tokens a second{slow}"


@dataclass(frozen=True)
class MemoryNeeds:
    """What a model needs on one card: bytes of weights, and of everything for some tokens of context."""

    weights: float
    total: float
    context: int


def offers(
    catalog: Catalog, devices: tuple[str, ...], context: int = CONTEXT, parallel: int = 1, engine: str = ""
) -> list[CatalogOffer]:
    """Return every model of the catalogue on the devices, as a person would pick: best first.

    What fits comfortably and answers as fast as people read comes first: the models for anything before
    coders and others, the largest first. What does not fit comes last.

    Raises:
        BadInput: a device is not known, or does not say its memory.
    """
    hardware = read_devices(devices)
    if not all(device.usable for device in hardware.gpus or (hardware.cpu,)):
        problem, fix = "how much memory there is was not said", "say it, as 'cpu 64 GB' or '24 GB card'"
        raise BadInput(Finding("--device", problem, fix))
    asked = [(c, m) for c in catalog.engines if engine in ("", c.name) for m in c.models if not m.lab_only]
    found = [_offer(c, m, devices, hardware, (context, parallel)) for c, m in asked]
    return sorted((offer for offer in found if offer), key=_rank)


def model_needs(component: Component, model: CatalogModel, context: int = CONTEXT) -> MemoryNeeds | None:
    """Return what a model needs on one card of any size; None where its shape is not known."""
    tokens = _tokens(model, context)
    request = _request(model, _rules(component), _VAST, EngineSettings(context=tokens))
    if request is None:
        return None
    plan = plan_memory(request)
    return MemoryNeeds(plan.total("weights"), plan.total("need"), tokens)


def _offer(
    component: Component,
    model: CatalogModel,
    devices: tuple[str, ...],
    hardware: Hardware,
    asked: tuple[int, int],
) -> CatalogOffer | None:
    rules = _rules(component)
    rules = rules if hardware.gpus else without_gpus(rules)
    tokens, parallel = _tokens(model, asked[0]), asked[1]
    total = tokens * (1 if counts_one_request(rules) else parallel)
    settings = EngineSettings(context=total, parallel=parallel)
    tried = [_tried(model, rules, devices, settings, cards) for cards in _groups(model, rules, hardware)]
    # Of those that fit as well, the fewest cards.
    best = min((one for one in tried if one), key=lambda one: _VERDICTS.index(one[2].verdict), default=None)
    if best is None:
        return None
    cards, request, plan = best
    speed = single_stream(request) if plan.verdict in (FITS, TIGHT) else None
    need = max((load.need for load in plan.loads), default=0.0)
    why, remedies = tuple(plan.why), tuple(plan.remedies)
    return CatalogOffer(model, component.name, plan.verdict, why, remedies, need, tokens, cards, speed)


def _tried(
    model: CatalogModel, rules: str, devices: tuple[str, ...], settings: EngineSettings, cards: int
) -> tuple[int, Request, MemoryPlan] | None:
    shared = replace(settings, tensor_parallel=cards) if shares_layers(rules) else settings
    request = _request(model, rules, devices, shared)
    return (cards, request, plan_memory(request)) if request else None


def _groups(model: CatalogModel, rules: str, hardware: Hardware) -> list[int]:
    """Return over how many cards to share a layer, fewest first; engines that do not share use them all."""
    arch = find_architecture(model.shape or model.name)
    return divisors(arch, max(len(hardware.gpus), 1)) if arch and shares_layers(rules) else [1]


def _request(
    model: CatalogModel, rules: str, devices: tuple[str, ...], settings: EngineSettings
) -> Request | None:
    if not rules or find_architecture(model.shape or model.name) is None:
        return None
    return as_request(FitQuestion(model.shape or model.name, devices, rules, model.quantisation, settings))


def _rules(component: Component) -> str:
    return component.engine.fit.rules if component.engine else ""


def _tokens(model: CatalogModel, context: int) -> int:
    return min(context, model.context_length or context)


def _rank(offer: CatalogOffer) -> tuple[int, int, float, float, str]:
    comfort = 0 if offer.verdict == FITS and offer.readable else 1 if offer.fits else 2
    fast = offer.speed.likely if offer.speed else 0.0
    return comfort, _KINDS.index(offer.kind), -parameters_of(offer.model), -fast, offer.model.name
