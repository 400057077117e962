"""Where a component.yaml says that a version is owned; looking it up is in aiplat.catalog.versions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aiplat.frozen import Frozen


class FromVersions(Frozen):
    """A version that versions.yaml owns; `key` is the dotted path to it."""

    source: Literal["versions.yaml"] = Field(alias="from")
    key: str


class FromGoMod(Frozen):
    """A version that the go.mod of the recipe's `go` folder owns; its leading `v` goes unless `keep_v`."""

    source: Literal["go.mod"] = Field(alias="from")
    module: str
    keep_v: bool = False


class FromLocks(Frozen):
    """A version that a Python lock (locks/*.txt) owns."""

    source: Literal["locks"] = Field(alias="from")
    package: str
    lock: str = "locks/requirements.txt"


class FromProject(Frozen):
    """aiplat's own version: for what is made of aiplat's own sources."""

    source: Literal["project"] = Field(alias="from")


class FromSystem(Frozen):
    """The operating system that packages are of: their versions are its own."""

    source: Literal["system"] = Field(alias="from")


class FromModel(Frozen):
    """The tag in the model's catalogue name."""

    source: Literal["model"] = Field(alias="from")


VersionSource = Annotated[
    FromVersions | FromGoMod | FromLocks | FromProject | FromModel | FromSystem,
    Field(discriminator="source"),
]
