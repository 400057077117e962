"""The models that can be asked and how a name finds one; where they come from is in discovery and routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# What a client waits for a model that has no replica; a large engine takes a minute and more to start.
HOLD_SECONDS = 60.0
# Where nobody says which options of Ollama's API a request may set: those that are about its answer alone.
SAMPLING = (
    *("num_keep", "seed", "num_predict", "top_k", "top_p", "min_p", "typical_p", "repeat_last_n"),
    *("temperature", "repeat_penalty", "presence_penalty", "frequency_penalty", "stop"),
)


class Model(BaseModel):
    """A served model.

    `name` is what clients see; `aliases` find it too. `url` is its only replica, `urls` are several;
    neither means that none is ready at the moment. `served_as` is its name in the engine, `created`
    seconds since 1970. `provider` names who serves it instead of an engine of the site; `fallbacks`
    are models that are asked in this order when it fails before its first byte. A request that finds
    no replica waits `hold_seconds`. `paths` are those of OpenAI's and Ollama's API that its engine has, none
    where that is not known; `output_limit` is the engine's field for the longest answer, and a message of a
    role that is not in `roles` goes to it as `system`. Of Ollama's `options` a request may set those in
    `options`: the others have an engine load the model again, for everybody.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    url: str = Field(default="", pattern=r"^(https?://.+)?$")
    urls: tuple[str, ...] = ()
    engine: str = ""
    aliases: tuple[str, ...] = ()
    served_as: str = ""
    created: int = 0
    provider: str = ""
    fallbacks: tuple[str, ...] = ()
    hold_seconds: float = Field(default=HOLD_SECONDS, ge=0, le=3600)
    paths: tuple[str, ...] = ()
    output_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    roles: tuple[str, ...] = ("system", "user", "assistant", "tool", "function")
    options: tuple[str, ...] = SAMPLING

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.url and self.urls:
            raise ValueError(f"model {self.name}: give `url` or `urls`, not both")
        if self.provider and (self.url or self.urls):
            raise ValueError(f"model {self.name}: a provider's model has no `url`; the provider has")
        if wrong := [url for url in self.urls if not url.startswith(("http://", "https://"))]:
            raise ValueError(
                f"model {self.name}: {wrong[0]!r} is not a URL; it must begin with http:// or https://"
            )
        return self

    @property
    def engine_name(self) -> str:
        """What to call the model when speaking to its engine."""
        return self.served_as or self.name

    def has(self, path: str) -> bool:
        """Whether its engine has a path; where nobody says which it has, it is asked."""
        return not self.provider and (not self.paths or path in self.paths)

    @property
    def replicas(self) -> tuple[str, ...]:
        """The URLs of its replicas."""
        return self.urls or ((self.url,) if self.url else ())


class ModelTable:
    """Models by every name they answer to; replaced whole, so that a reader never sees half a change.

    Two sources feed it: what is discovered (`replace`) and what a file names (`add_routed`).
    `fallbacks` are those of models that name none themselves; `by_prefix` says whether a prompt's beginning
    decides which replica is asked.
    """

    def __init__(self, models: Iterable[Model] = ()) -> None:
        self.ready = False
        self.by_prefix = True
        self.fallbacks: dict[str, tuple[str, ...]] = {}
        self._found: tuple[Model, ...] = ()
        self._routed: tuple[Model, ...] = ()
        self._models: tuple[Model, ...] = ()
        self._by_name: dict[str, Model] = {}
        self._followers: list[Callable[[tuple[Model, ...]], None]] = []
        self.replace(models, ready=False)

    def follow(self, told: Callable[[tuple[Model, ...]], None]) -> None:
        """Have `told` called with all models, now and after each change."""
        self._followers.append(told)
        told(self._models)

    def replace(self, models: Iterable[Model], ready: bool = True) -> None:
        """Take `models` as those discovered; a name proper wins over another model's alias."""
        self._found = tuple(models)
        self.ready = self.ready or ready
        self._publish()

    def add_routed(self, models: Iterable[Model]) -> None:
        """Take `models` as those that a file names; a discovered one of the same name wins."""
        self._routed = tuple(models)
        self._publish()

    def _publish(self) -> None:
        by_proper_name = {m.name: m for m in (*self._routed, *self._found)}
        ordered = tuple(sorted(by_proper_name.values(), key=lambda m: m.name))
        by_name = {alias: model for model in reversed(ordered) for alias in model.aliases}
        by_name.update(by_proper_name)
        self._models, self._by_name = ordered, by_name
        for told in self._followers:
            told(ordered)

    def find(self, name: str) -> Model | None:
        """Return the model of that name or alias; like Ollama, a name without a tag means `:latest`."""
        return self._by_name.get(name) or self._by_name.get(f"{name}:latest")

    def all(self) -> tuple[Model, ...]:
        """Return every model once, by name."""
        return self._models

    def names(self) -> list[str]:
        """Return the models' names, without aliases."""
        return [m.name for m in self._models]
