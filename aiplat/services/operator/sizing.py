"""What one replica asks of a node: as its Model says, as a profile says, or as was computed."""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.catalog.engines import Resources
from aiplat.services.operator.bundle import Engine, HeldModel, SiteBundle
from aiplat.services.operator.capacity import NVIDIA, listed
from aiplat.services.operator.model_spec import ModelSpec


@dataclass(frozen=True)
class Sized:
    """Resources of a replica; `adjusted` names what was asked for and what it got where those differ."""

    resources: Resources
    adjusted: str = ""


def size(
    model_spec: ModelSpec, bundle: SiteBundle, engine: Engine, held: HeldModel | None, tokens: int
) -> Sized:
    """Return what a replica gets; `tokens` is its context over all parallel requests.

    What a Model does not say is computed where the model's shape is known, and else the engine's default.
    """
    computed = held.fit.resources(tokens) if held and held.fit else None
    asked = bundle.profiles.get(model_spec.profile) or Resources(
        requests=model_spec.requests, limits=model_spec.limits
    )
    if not asked.requests and not asked.limits:
        return Sized(computed or engine.resources)
    if bundle.requests == "fit" and computed:
        before = {**asked.limits, **asked.requests}
        told = f"asked for {listed(before)}; runs with {listed(computed.requests)}, as computed"
        return Sized(computed, told if before != computed.requests else "")
    return Sized(_completed(asked))


def _completed(asked: Resources) -> Resources:
    # Without a request Kubernetes takes the limit for one, and of devices both must be the same.
    devices = {name: value for name, value in asked.requests.items() if name.startswith(NVIDIA)}
    return Resources(requests={**asked.limits, **asked.requests}, limits={**devices, **asked.limits})
