"""Joins a model spec with what the site has: the engine it will run, or a refusal and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aiplat.catalog.engines import Resources, wrong_settings
from aiplat.cluster.quantity import amount
from aiplat.services.operator.bundle import Computed, Engine, HeldModel, SiteBundle
from aiplat.services.operator.cache import cache_name
from aiplat.services.operator.capacity import GPU, NVIDIA, Machine, able_to_run, card_mib, listed, misfits
from aiplat.services.operator.model_spec import ModelSpec
from aiplat.services.operator.sizing import size

_KIB = 1 << 10
_GIB = 1 << 30
_ADD = "add it under `models` in site.yaml (`serve: false` keeps it for Models like this one), then bootstrap"


@dataclass(frozen=True)
class Refusal:
    """Why a Model cannot be served on this site, and what to do; `reason` is one word for programs."""

    reason: str
    message: str


@dataclass(frozen=True)
class Engaged:
    """A model spec that can be served, with everything filled in that it left out."""

    model_spec: ModelSpec
    engine_name: str
    engine: Engine
    weights: str
    served_as: str
    aliases: tuple[str, ...]
    features: tuple[str, ...]
    resources: Resources
    parallel: int
    context_length: int
    adjusted: str = ""
    cache: str = ""
    fit: str = ""
    computed: Computed | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return gpus_of(self.resources)

    @property
    def cache_gib(self) -> int:
        """Gibibytes for the tokens of all its requests, where that was computed; else one."""
        tokens = self.context_length * self.parallel
        return self.computed.cache_gib(tokens) if self.computed else 1

    @property
    def image(self) -> str:
        """The engine's image for what a replica runs on."""
        return self.engine.gpu_image if self.gpus and self.engine.gpu_image else self.engine.image

    @property
    def target(self) -> int:
        """Requests that one replica takes before another one is wanted."""
        return self.model_spec.target or self.parallel


Decision = Engaged | Refusal


def decide_all(
    model_specs: Iterable[ModelSpec], bundle: SiteBundle, machines: Sequence[Machine]
) -> dict[str, Decision]:
    """Return the decision on every Model by the uid of its object; the older of two with one name wins."""
    decisions: dict[str, Decision] = {}
    taken: dict[str, ModelSpec] = {}
    for model_spec in sorted(
        model_specs, key=lambda w: (not w.by_site, w.created, w.namespace, w.object_name)
    ):
        names = _names(model_spec)
        other = next((taken[name] for name in names if name in taken), None)
        if other is not None or len(set(names)) < len(names):
            decisions[model_spec.uid] = Refusal("NameTaken", _taken(other or model_spec, names, taken))
            continue
        taken |= dict.fromkeys(names, model_spec)
        decisions[model_spec.uid] = decide(model_spec, bundle, machines)
    return decisions


def _names(model_spec: ModelSpec) -> list[str]:
    """Return what no other Model may have: the object's name, the Model's, and those of its adapters."""
    called = [model_spec.name, *(adapter.name for adapter in model_spec.adapters)]
    return [f"slug {model_spec.slug}", *(f"name {name}" for name in called)]


def _taken(other: ModelSpec, names: Sequence[str], taken: Mapping[str, ModelSpec]) -> str:
    name = next((n for n in names if n in taken), None) or next(n for n in names if names.count(n) > 1)
    kind, _, said = name.partition(" ")
    served = other.name if kind == "slug" else said
    return f"{other.title} already serves {served!r}; delete one of them, or give this one another name"


def decide(model_spec: ModelSpec, bundle: SiteBundle, machines: Sequence[Machine]) -> Decision:
    """Return how one model spec is served, or why not."""
    source = _source(model_spec, bundle)
    if isinstance(source, Refusal):
        return source
    name, held = source
    engine = bundle.engines.get(name)
    if engine is None:
        message = f"the engine {name} is not on this site; turn planes.model.{name} on in site.yaml"
        return Refusal("EngineNotThere", message)
    refusal = _adapters(model_spec, name, engine, bundle) or _settings(model_spec, bundle, held, engine)
    return refusal or _placed(_engaged(model_spec, bundle, name, engine, held), bundle, machines)


def gpus_of(resources: Resources) -> int:
    """Return how many GPUs a replica gets: whole cards, shares of one, or MIG instances."""
    asked = {**resources.limits, **resources.requests}
    return sum(int(amount(value)) for name, value in asked.items() if name.startswith(NVIDIA))


def _placed(engaged: Engaged, bundle: SiteBundle, machines: Sequence[Machine]) -> Decision:
    model_spec, asked = engaged.model_spec, engaged.resources.requests
    said = misfits(asked, machines, model_spec.node_selector, model_spec.tolerations)
    if said:
        return Refusal("DoesNotFit", _does_not_fit(said, bundle))
    if engaged.gpus and engaged.engine.gpu_image == "":
        what = f"the site's bundle has no image of {engaged.engine_name} for GPUs"
        fix = "leave nvidia.com/gpu out, or make a bundle with `supply: upstream` and hosts with GPUs"
        return Refusal("NoGpuImage", f"{what}; {fix}")
    able = able_to_run(asked, machines, model_spec.node_selector, model_spec.tolerations)
    if too_small := _too_small(engaged, able):
        return Refusal("DoesNotFit", too_small)
    fit = f"a replica takes {listed(asked)}; {len(able)} of {len(machines)} nodes can hold one"
    if engaged.engine.run.compile_cache is None:
        return replace(engaged, fit=fit)
    name = cache_name(engaged.engine_name, engaged.image, engaged.weights, asked, able)
    return replace(engaged, cache=name, fit=fit)


def _too_small(engaged: Engaged, able: Sequence[Machine]) -> str:
    """Return why no node's cards hold the model, empty where some do or nobody knows how large they are."""
    kinds = [name for name in engaged.resources.requests if name.startswith(NVIDIA)]
    need = engaged.computed.gpu if engaged.computed and len(kinds) == 1 else None
    sizes = [card_mib(machine, kinds[0]) for machine in able] if need else []
    if need is None or not sizes or None in sizes:
        return ""
    largest = max(size for size in sizes if size is not None)
    share = float(engaged.settings.get("utilisation", 1))
    wanted, offered = need.bytes_for(engaged.context_length) / _GIB, largest * engaged.gpus * share / _KIB
    if wanted <= offered:
        return ""
    asks = f"needs {wanted:.1f} GiB of GPU memory for {engaged.context_length} tokens of context"
    if kinds != [GPU]:
        # A program sees one instance, however many it is given.
        return f"{asks}, a {kinds[0]} offers {offered:.1f} GiB; lower contextLength, or name a larger profile"
    there = f"{engaged.gpus} of the largest cards offer {offered:.1f} GiB"
    fix = f"lower contextLength, or ask for {math.ceil(wanted / (largest * share / _KIB))} of them"
    return f"{asks}, {there}; {fix}"


def _engaged(
    model_spec: ModelSpec, bundle: SiteBundle, name: str, engine: Engine, held: HeldModel | None
) -> Engaged:
    longest = (held.context_length if held else None) or engine.context_length
    context = model_spec.context_length or min(engine.context_length, longest)
    parallel = model_spec.parallel or engine.parallel
    sized = size(model_spec, bundle, engine, held, context * parallel)
    others = [model_spec.name] if held is None else [model_spec.catalogue, *held.aliases]
    return Engaged(
        model_spec=model_spec,
        engine_name=name,
        engine=engine,
        weights=held.ref if held else model_spec.image,
        served_as=model_spec.served_as or (held.name if held else model_spec.name),
        aliases=_aliases(model_spec, others),
        features=model_spec.features or (held.features if held else ()),
        resources=sized.resources,
        parallel=parallel,
        context_length=context,
        adjusted=sized.adjusted,
        computed=held.fit if held else None,
        settings={
            **{name: setting.default for name, setting in engine.run.settings.items()},
            **(held.settings if held else {}),
            **model_spec.settings,
        },
    )


def _aliases(model_spec: ModelSpec, names: list[str]) -> tuple[str, ...]:
    # Only the site's own Models go by every name of the catalogue: two Models may be of the same weights.
    wanted = [*model_spec.aliases, *(names if model_spec.by_site else ())]
    return tuple(dict.fromkeys(name for name in wanted if name != model_spec.name))


def _source(model_spec: ModelSpec, bundle: SiteBundle) -> tuple[str, HeldModel | None] | Refusal:
    """Return engine and weights, or why there are none; weights named by digest have no entry."""
    if model_spec.image:
        if bundle.holds(model_spec.image):
            return model_spec.engine, None
        return Refusal("NotInBundle", f"{model_spec.image} is not in the site's bundle; {_ADD}")
    held = bundle.held(model_spec.catalogue, model_spec.engine)
    if held is None:
        return Refusal("NotInBundle", _not_held(model_spec.catalogue, bundle))
    if model_spec.engine and model_spec.engine != held.engine:
        form = f"{model_spec.catalogue!r} is in the form of {held.engine}"
        message = f"{form}; leave `engine` out or write {held.engine}"
        return Refusal("OtherEngine", message)
    return held.engine, held


def _not_held(name: str, bundle: SiteBundle) -> str:
    if {name, f"{name}:latest"} & bundle.known:
        return f"the model {name!r} is not in the site's bundle; {_ADD}"
    there = ", ".join(m.name for m in bundle.models) or "nothing"
    return (
        f"the model {name!r} is not in the site's bundle, which holds {there}, nor in aiplat's catalogue; "
        "name one of `aiplat catalog models`, or add it to the catalogue and bootstrap"
    )


def _adapters(model_spec: ModelSpec, name: str, engine: Engine, bundle: SiteBundle) -> Refusal | None:
    if not model_spec.adapters:
        return None
    if engine.run.adapters is None:
        return Refusal("AdaptersNotHere", f"{name}: {engine.run.without_adapters}")
    missing = ", ".join(a.image for a in model_spec.adapters if not bundle.holds(a.image))
    return Refusal("NotInBundle", f"{missing} is not in the site's bundle; {_ADD}") if missing else None


def _settings(
    model_spec: ModelSpec, bundle: SiteBundle, held: HeldModel | None, engine: Engine
) -> Refusal | None:
    if said := wrong_settings(model_spec.settings, engine.run.settings):
        there = ", ".join(engine.run.settings) or "none"
        return Refusal("UnknownSetting", f"{'; '.join(said)}; the engine's settings are: {there}")
    if model_spec.profile and model_spec.profile not in bundle.profiles:
        there = ", ".join(bundle.profiles) or "none"
        message = f"there is no resource profile {model_spec.profile!r}; this site has: {there}"
        return Refusal("UnknownProfile", message)
    longest = held.context_length if held else None
    if longest and model_spec.context_length and model_spec.context_length > longest:
        asked = f"asks {model_spec.context_length} tokens of context"
        message = f"{asked}, the model has {longest}; lower contextLength"
        return Refusal("ContextTooLong", message)
    return None


def _does_not_fit(said: list[str], bundle: SiteBundle) -> str:
    hint = "lower its requests or add a larger node"
    if bundle.requests == "asked":
        hint += ", or let the site compute them (planes.model.operator.values: {requests: fit})"
    return f"{'; '.join(said)}; {hint}"


def number_wanted(engaged: Engaged, scaled: int) -> int:
    """Return how many replicas there should be; `scaled` is what the load asks for."""
    model_spec = engaged.model_spec
    if model_spec.replicas is not None:
        return model_spec.replicas
    return min(max(scaled, model_spec.minimum), model_spec.maximum)
