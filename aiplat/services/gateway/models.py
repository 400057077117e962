"""The models the gateway can reach and how a name finds one; where the list comes from is in discovery."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """A served model.

    `name` is what clients see; `aliases` find it too. `served_as` is its name in the engine, `created`
    seconds since 1970.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    url: str = Field(pattern=r"^https?://")
    engine: Literal["ollama", "vllm"] = "ollama"
    aliases: tuple[str, ...] = ()
    served_as: str = ""
    created: int = 0

    @property
    def engine_name(self) -> str:
        """What to call the model when speaking to its engine."""
        return self.served_as or self.name


class StaticModels(BaseModel):
    """The file of `--static`: models listed by hand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[Model, ...]


class ModelTable:
    """Models by every name they answer to; replaced whole, so that a reader never sees half a change."""

    def __init__(self, models: Iterable[Model] = ()) -> None:
        self.ready = False
        self._models: tuple[Model, ...] = ()
        self._by_name: dict[str, Model] = {}
        self.replace(models, ready=False)

    def replace(self, models: Iterable[Model], ready: bool = True) -> None:
        """Take `models` as the new content; a name proper wins over another model's alias."""
        ordered = tuple(sorted(models, key=lambda m: m.name))
        by_name = {alias: model for model in reversed(ordered) for alias in model.aliases}
        by_name.update({model.name: model for model in ordered})
        self._models, self._by_name = ordered, by_name
        self.ready = self.ready or ready

    def find(self, name: str) -> Model | None:
        """Return the model of that name or alias; like Ollama, a name without a tag means `:latest`."""
        return self._by_name.get(name) or self._by_name.get(f"{name}:latest")

    def all(self) -> tuple[Model, ...]:
        """Return every model once, by name."""
        return self._models

    def names(self) -> list[str]:
        """Return the models' names, without aliases."""
        return [m.name for m in self._models]


def read_static(path: Path) -> tuple[Model, ...]:
    """Read the models of a JSON file.

    Raises:
        ValueError: the file is not what StaticModels describes.
        OSError: it cannot be read.
    """
    return StaticModels.model_validate(json.loads(path.read_text())).models
