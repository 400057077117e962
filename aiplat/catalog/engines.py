"""How an engine is run and what it speaks: `engine:` in component.yaml; its pods are the operator's."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aiplat.frozen import Frozen

WeightsForm = Literal["ollama-store", "gguf", "huggingface"]
ModelFeature = Literal["completion", "chat", "embedding", "tools", "vision"]
Amounts = dict[str, str | int]
UrlPath = Annotated[str, Field(pattern=r"^/\S*$")]

PLACEHOLDERS = ("port", "mount", "model", "context", "total_context", "parallel", "gpus")
ADAPTER_PLACEHOLDERS = ("name", "path")
AUTO = "auto"
_PLACEHOLDER = re.compile(r"\{([a-zA-Z_]+)\}")


def filled(text: str, values: Mapping[str, str | int]) -> str:
    """Return a text with its `{placeholders}` filled in; other braces, as JSON has them, stay."""
    return _PLACEHOLDER.sub(lambda found: str(values.get(found[1], found[0])), text)


class Resources(Frozen):
    """What a container asks for and what it may take."""

    requests: Amounts = Field(default_factory=dict)
    limits: Amounts = Field(default_factory=dict)


class MountedWeights(Frozen):
    """Where the weights are mounted, and in which form: Ollama's store, one `model.gguf`, or a snapshot."""

    form: WeightsForm
    mount: UrlPath


class Probe(Frozen):
    """One way to ask a container how it is: GET a `path`, or run a `command`; it may take `seconds`."""

    path: UrlPath | None = None
    command: tuple[str, ...] = ()
    seconds: int = Field(default=5, gt=0)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.path) == bool(self.command):
            raise ValueError("needs exactly one of path, command")
        return self


class EngineProbes(Frozen):
    """`started` is asked until it succeeds once, `ready` while it runs, `live` decides about a restart."""

    started: Probe
    ready: Probe
    live: Probe


class Adapters(Frozen):
    """How LoRA adapters are given: arguments said `once`, and those for `each` one ({name}, {path})."""

    once: tuple[str, ...] = ()
    each: tuple[str, ...] = Field(min_length=1)


class Variant(Frozen):
    """Arguments and environment by the kind of device, and by the features that a Model has and lacks."""

    device: Literal["cpu", "gpu"] | None = None
    having: tuple[ModelFeature, ...] = ()
    lacking: tuple[ModelFeature, ...] = ()
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)

    def is_for(self, features: Collection[str], gpus: int) -> bool:
        """Whether a Model with these features on so many GPUs is started with it."""
        kind = "gpu" if gpus else "cpu"
        fits = set(self.having) <= set(features) and not set(self.lacking) & set(features)
        return fits and self.device in (None, kind)


class CompileCache(Frozen):
    """Where an engine keeps what it compiles for a GPU, and how much that may be."""

    mount: UrlPath
    size: str


class EngineApi(Frozen):
    """Paths of OpenAI's and Ollama's API that the engine has, and the words it knows in requests.

    `output_limit` is the field that bounds an answer; roles of messages that are not among `roles` are sent
    as `system`. `options` are those of Ollama's API that a request may set; the others say how a model is
    loaded, and are the Model's.
    """

    paths: tuple[UrlPath, ...] = Field(min_length=1)
    output_limit: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens", alias="outputLimit"
    )
    roles: tuple[str, ...] = ("system", "user", "assistant", "tool")
    options: tuple[str, ...] = ()


class FitRules(Frozen):
    """Which of aiplat.fit's rules compute what it needs.

    With `reserves` it takes memory for tokens when it starts: it is told how much (the setting `cacheGiB`
    where that is `auto`). `processes_mib` is what its programs take before there are weights.
    """

    rules: str
    reserves: bool = False
    processes_mib: int = Field(default=0, ge=0, alias="processesMiB")


class EngineDefaults(Frozen):
    """What a replica runs with where a Model says nothing: requests side by side, tokens, resources."""

    parallel: int = Field(gt=0, le=1024)
    context_length: int = Field(ge=256, alias="contextLength")
    resources: Resources


class Setting(Frozen):
    """A placeholder of the engine's own: its value (`auto`: computed), and the form another one must have."""

    default: str
    pattern: str


def wrong_settings(said: Mapping[str, str], known: Mapping[str, Setting]) -> list[str]:
    """Return what is wrong with values that a model has for settings of its engine."""
    wrong = [f"there is no setting {name}" for name in said if name not in known]
    return wrong + [
        f"{name}: {value!r} does not match {known[name].pattern}"
        for name, value in said.items()
        if name in known and not re.fullmatch(known[name].pattern, value)
    ]


class EngineRun(Frozen):
    """An engine's container. Command, arguments, environment and probes may hold `{placeholders}`.

    They are port, mount, model (its name in the engine), context (tokens of one request), total_context
    (of all parallel ones), parallel, gpus (of one replica) and the engine's own `settings`, which a site may
    give other values. `variants` are further arguments by what a Model is for and runs on. A
    Model that is asleep or starts is waited for `hold_seconds`;
    `home_size` is what HOME, which is writable, may grow to; `shared_memory` what its processes
    share (/dev/shm).
    """

    command: tuple[str, ...] = Field(min_length=1)
    args: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    port: int = Field(gt=0, lt=65536)
    env: dict[str, str] = Field(default_factory=dict)
    weights: MountedWeights
    health: EngineProbes
    adapters: Adapters | None = None
    without_adapters: str = Field(default="it takes no adapters", alias="withoutAdapters")
    hold_seconds: int = Field(alias="holdSeconds", gt=0)
    start_seconds: int = Field(default=1800, alias="startSeconds", gt=0)
    compile_cache: CompileCache | None = Field(default=None, alias="compileCache")
    shared_memory: str | None = Field(default=None, alias="sharedMemory")
    home_size: str = Field(default="64Mi", alias="homeSize")
    settings: dict[str, Setting] = Field(default_factory=dict)
    api: EngineApi

    @model_validator(mode="after")
    def _known_placeholders(self) -> Self:
        texts = [*self.command, *self.args, *self.env.values(), self.health.model_dump_json()]
        texts += self.adapters.once if self.adapters else ()
        texts += [text for v in self.variants for text in (*v.args, *v.env.values())]
        own = {name for text in texts for name in _PLACEHOLDER.findall(text)}
        each = {
            n for text in (self.adapters.each if self.adapters else ()) for n in _PLACEHOLDER.findall(text)
        }
        known = (*PLACEHOLDERS, *self.settings)
        if unknown := sorted((own - set(known)) | (each - set(ADAPTER_PLACEHOLDERS))):
            raise ValueError(f"unknown placeholders: {', '.join(unknown)}; use {', '.join(known)}")
        return self


class EngineSpec(Frozen):
    """An engine: its image (an artifact of the component), how it is run and what it can do.

    `gpu_image` is there where GPUs need another image; a site may be without it.
    No model of the engine may claim a feature that is not in `features`.
    """

    image: str
    gpu_image: str | None = Field(default=None, alias="gpuImage")
    run: EngineRun
    features: tuple[ModelFeature, ...]
    defaults: EngineDefaults
    fit: FitRules
