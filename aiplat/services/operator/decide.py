"""Joins a wish with what the site has: the engine it will run, or a refusal with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiplat.catalog.engines import Resources
from aiplat.services.operator.bundle import Engine, HeldModel, SiteBundle
from aiplat.services.operator.capacity import Machine, misfits
from aiplat.services.operator.sizing import size
from aiplat.services.operator.wish import Wish

_ADD = "add it under `models` in site.yaml (`serve: false` keeps it for Models like this one), then bootstrap"


@dataclass(frozen=True)
class Refusal:
    """Why a Model cannot be served on this site, and what to do; `reason` is one word for programs."""

    reason: str
    message: str


@dataclass(frozen=True)
class Engaged:
    """A wish that can be served, with everything filled in that it left out."""

    wish: Wish
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

    @property
    def target(self) -> int:
        """Requests that one replica takes before another one is wanted."""
        return self.wish.target or self.parallel


Decision = Engaged | Refusal


def decide_all(
    wishes: Iterable[Wish], bundle: SiteBundle, machines: Sequence[Machine]
) -> dict[str, Decision]:
    """Return the decision on every wish by the uid of its object; the older of two with one name wins."""
    decisions: dict[str, Decision] = {}
    taken: dict[str, Wish] = {}
    for wish in sorted(wishes, key=lambda w: (not w.by_site, w.created, w.namespace, w.object_name)):
        other = taken.get(f"slug {wish.slug}") or taken.get(f"name {wish.name}")
        if other is not None:
            decisions[wish.uid] = Refusal("NameTaken", _taken(other))
            continue
        taken[f"slug {wish.slug}"] = taken[f"name {wish.name}"] = wish
        decisions[wish.uid] = decide(wish, bundle, machines)
    return decisions


def _taken(other: Wish) -> str:
    return f"{other.title} already serves {other.name!r}; delete one of them, or give this one another name"


def decide(wish: Wish, bundle: SiteBundle, machines: Sequence[Machine]) -> Decision:
    """Return how one wish is served, or why not."""
    source = _source(wish, bundle)
    if isinstance(source, Refusal):
        return source
    name, held = source
    engine = bundle.engines.get(name)
    if engine is None:
        message = f"the engine {name} is not on this site; turn planes.model.{name} on in site.yaml"
        return Refusal("EngineNotThere", message)
    refusal = _adapters(wish, name, engine, bundle) or _settings(wish, bundle, held)
    return refusal or _placed(_engaged(wish, bundle, name, engine, held), bundle, machines)


def _placed(engaged: Engaged, bundle: SiteBundle, machines: Sequence[Machine]) -> Decision:
    wish, asked = engaged.wish, engaged.resources.requests
    said = misfits(asked, machines, wish.node_selector, wish.tolerations)
    return Refusal("DoesNotFit", _does_not_fit(said, bundle)) if said else engaged


def _engaged(wish: Wish, bundle: SiteBundle, name: str, engine: Engine, held: HeldModel | None) -> Engaged:
    longest = (held.context_length if held else None) or engine.context_length
    context = wish.context_length or min(engine.context_length, longest)
    parallel = wish.parallel or engine.parallel
    sized = size(wish, bundle, engine, held, context * parallel)
    others = [wish.name] if held is None else [wish.catalogue, *held.aliases]
    return Engaged(
        wish=wish,
        engine_name=name,
        engine=engine,
        weights=held.ref if held else wish.image,
        served_as=wish.served_as or (held.name if held else wish.name),
        aliases=_aliases(wish, others),
        features=wish.features or (held.features if held else ()),
        resources=sized.resources,
        parallel=parallel,
        context_length=context,
        adjusted=sized.adjusted,
    )


def _aliases(wish: Wish, names: list[str]) -> tuple[str, ...]:
    # Only the site's own Models go by every name of the catalogue: two Models may be of the same weights.
    wanted = [*wish.aliases, *(names if wish.by_site else ())]
    return tuple(dict.fromkeys(name for name in wanted if name != wish.name))


def _source(wish: Wish, bundle: SiteBundle) -> tuple[str, HeldModel | None] | Refusal:
    """Return engine and weights, or why there are none; weights named by digest have no entry."""
    if wish.image:
        if bundle.holds(wish.image):
            return wish.engine, None
        return Refusal("NotInBundle", f"{wish.image} is not in the site's bundle; {_ADD}")
    held = bundle.held(wish.catalogue, wish.engine)
    if held is None:
        return Refusal("NotInBundle", _not_held(wish.catalogue, bundle))
    if wish.engine and wish.engine != held.engine:
        message = (
            f"{wish.catalogue!r} is in the form of {held.engine}; leave `engine` out or write {held.engine}"
        )
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


def _adapters(wish: Wish, name: str, engine: Engine, bundle: SiteBundle) -> Refusal | None:
    if not wish.adapters:
        return None
    if engine.run.adapters is None:
        return Refusal("AdaptersNotHere", f"{name}: {engine.run.without_adapters}")
    missing = ", ".join(a.image for a in wish.adapters if not bundle.holds(a.image))
    return Refusal("NotInBundle", f"{missing} is not in the site's bundle; {_ADD}") if missing else None


def _settings(wish: Wish, bundle: SiteBundle, held: HeldModel | None) -> Refusal | None:
    if wish.profile and wish.profile not in bundle.profiles:
        there = ", ".join(bundle.profiles) or "none"
        message = f"there is no resource profile {wish.profile!r}; this site has: {there}"
        return Refusal("UnknownProfile", message)
    longest = held.context_length if held else None
    if longest and wish.context_length and wish.context_length > longest:
        message = (
            f"asks {wish.context_length} tokens of context, the model has {longest}; lower contextLength"
        )
        return Refusal("ContextTooLong", message)
    return None


def _does_not_fit(said: list[str], bundle: SiteBundle) -> str:
    hint = "lower its requests or add a larger node"
    if bundle.requests == "asked":
        hint += ", or let the site compute them (planes.model.operator.values: {requests: fit})"
    return f"{'; '.join(said)}; {hint}"


def number_wanted(engaged: Engaged, scaled: int) -> int:
    """Return how many replicas there should be; `scaled` is what the load asks for."""
    wish = engaged.wish
    if wish.replicas is not None:
        return wish.replicas
    return min(max(scaled, wish.minimum), wish.maximum)
