"""What the site's bundle holds for models: engines, weights and their names, as the release tells it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal

from pydantic import Field

from aiplat.catalog.engines import Amounts, EngineRun, Resources
from aiplat.frozen import Frozen

_MIB = 1 << 20
_GIB = 1 << 30
_SPARE = 1.25


class GpuNeed(Frozen):
    """What a model needs of GPUs, as computed: `memory_mib` without tokens, and bytes for each token."""

    memory_mib: int = Field(alias="memoryMiB", gt=0)
    bytes_per_token: int = Field(alias="bytesPerToken", ge=0)

    def bytes_for(self, context: int) -> int:
        """Return the bytes for the model and one request of the longest context."""
        return self.memory_mib * _MIB + self.bytes_per_token * context


class Computed(Frozen):
    """What a replica was computed to need: `memory_mib` for `tokens` of context of all parallel requests.

    An engine that `reserves` memory for tokens takes whole gibibytes, and `memory_mib` is without any.
    """

    cpu: str
    memory_mib: int = Field(alias="memoryMiB", gt=0)
    tokens: int = Field(ge=0)
    bytes_per_token: int = Field(alias="bytesPerToken", ge=0)
    reserves: bool = False
    gpu: GpuNeed | None = None

    def cache_gib(self, tokens: int) -> int:
        """Return the gibibytes that hold so many tokens."""
        return max(1, math.ceil(tokens * self.bytes_per_token / _GIB))

    def resources(self, tokens: int) -> Resources:
        """Return what a replica with so many tokens of context asks for, and a quarter more as its limit."""
        more = max(tokens - self.tokens, 0) * self.bytes_per_token
        if self.reserves:
            more = self.cache_gib(tokens) * _GIB
        memory = self.memory_mib + math.ceil(more / _MIB)
        limits: Amounts = {"memory": f"{math.ceil(memory * _SPARE)}Mi"}
        return Resources(requests={"cpu": self.cpu, "memory": f"{memory}Mi"}, limits=limits)


class Engine(Frozen):
    """An engine: its image by digest, how it is run, and with what where a Model says nothing.

    `gpu_image` is None where GPUs need no other image, and empty where the bundle does not have it.
    `parallel` is how many requests one replica answers side by side; `context_length` in tokens.
    """

    image: str = Field(pattern=r"@sha256:[0-9a-f]{64}$")
    gpu_image: str | None = Field(default=None, alias="gpuImage", pattern=r"^$|@sha256:[0-9a-f]{64}$")
    run: EngineRun
    resources: Resources
    parallel: int = Field(gt=0)
    context_length: int = Field(alias="contextLength", gt=0)


class HeldModel(Frozen):
    """Weights that are in the bundle; `fit` is what they were computed to need."""

    name: str
    aliases: tuple[str, ...] = ()
    slug: str
    engine: str
    ref: str = Field(pattern=r"@sha256:[0-9a-f]{64}$")
    features: tuple[str, ...] = ()
    context_length: int | None = Field(default=None, alias="contextLength")
    serve: bool = True
    fit: Computed | None = None
    settings: dict[str, str] = Field(default_factory=dict)


class SiteBundle(Frozen):
    """Everything a Model can be made of on this site.

    `digests` are those of every image and model of the bundle. `known` are the names of models that aiplat's
    catalogue has, in the bundle or not. With `requests: fit` computed requests replace what a Model asks for.
    """

    engines: dict[str, Engine]
    models: tuple[HeldModel, ...] = ()
    digests: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    profiles: dict[str, Resources] = Field(default_factory=dict)
    requests: Literal["asked", "fit"] = "asked"

    def held(self, name: str, engine: str = "") -> HeldModel | None:
        """Return the weights of that name or alias, those of the engine if there are several.

        Like Ollama, a name without a tag means `:latest`.
        """
        preferred = sorted(self.models, key=lambda model: model.engine == engine)
        by_name = {alias: model for model in preferred for alias in model.aliases}
        by_name |= {model.name: model for model in preferred}
        return by_name.get(name) or by_name.get(f"{name}:latest")

    def holds(self, reference: str) -> bool:
        """Whether the bundle has the image that a reference names by digest."""
        return reference.rpartition("@")[2] in self.digests


def read_bundle(path: Path) -> SiteBundle:
    """Read what the release says of the bundle.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not what SiteBundle describes.
    """
    return SiteBundle.model_validate(json.loads(path.read_text()))
