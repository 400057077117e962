"""Chooses the catalogue's model that suits seen hosts best, and says why; who asks is `aiplat init`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiplat.catalog.catalog import Catalog
from aiplat.catalog.components import CatalogModel
from aiplat.catalog.resolve import SupplyName
from aiplat.fit.knowledge import GIB, MIB
from aiplat.fit.memory import plan_memory
from aiplat.fit.placement import FITS
from aiplat.fit.question import FitQuestion, as_request
from aiplat.fit.request import EngineSettings, Request
from aiplat.fit.throughput import Speed, single_stream
from aiplat.hosts.check import SeenHost

CONTEXT = 8192
"""Tokens that are planned for: two requests of 4096 at once, as the engine is set."""
READABLE = 5.0
"""Tokens a second that are about as fast as people read."""
# What the system, Kubernetes and the platform take of a host, in MiB.
TAKEN = {"server": 2600, "agent": 1000}
# Nothing of a processor is known but that it is one of some year: two channels of slow memory.
_CAUTIOUS = "AMD Ryzen 7 5800X"


@dataclass(frozen=True)
class Option:
    """One model on one host: whether it fits, and how fast it would be."""

    model: CatalogModel
    host: str
    fits: bool
    why: str
    need: float
    speed: Speed | None
    assumed: bool = False
    """Whether the speed is that of another processor, because this one is not known."""

    @property
    def readable(self) -> bool:
        """Whether it is about as fast as people read; where nobody knows, it counts as if."""
        return self.speed is None or self.speed.likely >= READABLE


@dataclass(frozen=True)
class ModelChoice:
    """The model to serve and by which engine, where it runs best, why; `others` fit too, the best first."""

    model: str
    engine: str
    host: str
    why: tuple[str, ...]
    others: tuple[str, ...] = ()


def choose_model(hosts: Sequence[SeenHost], catalog: Catalog, supply: SupplyName) -> ModelChoice | None:
    """Return the largest chat model that fits on one host and answers as fast as people read.

    Where none is that fast it is the fastest; where only a model that continues text can be had, that one.
    None where nothing fits.
    """
    engine = catalog.engines[0] if catalog.engines else None
    known = [m for m in engine.models if _can_come(m, supply)] if engine else []
    rules = engine.engine.fit.rules if engine and engine.engine else ""
    seen = [host for host in hosts if not host.look.problem and host.look.memory_mib]
    options = [option for model in known for host in seen if (option := _on(model, host, rules))]
    fitting = [option for option in options if option.fits]
    talking = [option for option in fitting if "chat" in option.model.features]
    best = _best(talking) or _best(fitting)
    if best is None or engine is None:
        return None
    names = dict.fromkeys(_called(o.model) for o in sorted(talking, key=_rank, reverse=True))
    others = tuple(name for name in names if name != _called(best.model))
    why = _why(best, seen, supply, bool(talking))
    return ModelChoice(_called(best.model), engine.name, best.host, why, others)


def parameters_of(model: CatalogModel) -> float:
    """Return a model's number of parameters (`4.3B` → 4.3e9)."""
    units = {"M": 1e6, "B": 1e9, "T": 1e12}
    text = model.parameters.strip()
    return float(text[:-1]) * units[text[-1]] if text and text[-1] in units else 0.0


def _can_come(model: CatalogModel, supply: SupplyName) -> bool:
    recipe = model.artifact
    known = recipe.packages if supply == "packages" else recipe.upstream
    general = model.suits == "anything" and "embedding" not in model.features
    return known is not None and general and not model.lab_only


def _on(model: CatalogModel, host: SeenHost, rules: str) -> Option:
    memory = max(host.look.memory_mib - TAKEN[host.needs.role], 1) * MIB
    speed, assumed = None, False
    for cpu in (host.look.cpu_model, _CAUTIOUS):
        asked = _request(model, rules, f"cpu {cpu} {memory / GIB:.2f} GB")
        plan, speed = plan_memory(asked), single_stream(asked)
        if speed or host.look.arch != "x86_64":
            break
        assumed = True
    why = plan.why[0] if plan.why else ""
    return Option(model, host.name, plan.verdict == FITS, why, plan.total("need"), speed, assumed)


def _request(model: CatalogModel, rules: str, device: str) -> Request:
    settings = EngineSettings(context=CONTEXT, parallel=2)
    return as_request(FitQuestion(model.shape or model.name, (device,), rules, model.quantisation, settings))


def _rank(option: Option) -> tuple[bool, float, float]:
    fast = option.speed.likely if option.speed else 0.0
    return option.readable, parameters_of(option.model) if option.readable else fast, fast


def _best(options: Sequence[Option]) -> Option | None:
    return max(options, key=_rank, default=None)


def _why(best: Option, seen: Sequence[SeenHost], supply: SupplyName, talks: bool) -> tuple[str, ...]:
    host = next(h for h in seen if h.name == best.host)
    told = [f"on {best.host} it takes {best.need / GIB:.1f} GiB of the {_room(host):.1f} GiB left for models"]
    if best.speed:
        which = (
            "a usual desktop processor, as this one is not known"
            if best.assumed
            else host.look.cpu_model or "its processor"
        )
        told.append(f"about {best.speed.likely:.0f} tokens a second on {which}, {_pace(best)}")
    if not talks and supply == "packages":
        told.append("package registries have no larger one: it continues text and does not converse")
    gpus = [f"{h.name} ({', '.join(h.look.gpus)})" for h in seen if h.look.gpus]
    if gpus:
        told.append(f"GPUs of {', '.join(gpus)} are not used by this version, so it is chosen for processors")
    return tuple(told)


def _room(host: SeenHost) -> float:
    return (host.look.memory_mib - TAKEN[host.needs.role]) * MIB / GIB


def _pace(option: Option) -> str:
    return "about as fast as people read or faster" if option.readable else "slower than people read"


def _called(model: CatalogModel) -> str:
    """Return the name that means this model, or its like, whatever the supply is."""
    return next((alias for alias in model.aliases if ":" in alias), model.name)
