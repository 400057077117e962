"""How the supply `upstream` gets an artifact: `upstream:` in component.yaml; fetching is aiplat.supply's."""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Literal, Self

from pydantic import Field, model_validator

from aiplat.catalog.os_recipes import OsPackages
from aiplat.catalog.recipes import OwnFiles, PythonRuntime
from aiplat.catalog.version_sources import FromVersions, VersionSource
from aiplat.frozen import Frozen

Architecture = Literal["amd64", "arm64"]


class UpstreamKind(StrEnum):
    """The ways to get an artifact; each is a field of UpstreamRecipe and has its fetcher."""

    RELEASE = auto()
    IMAGE = auto()
    HELM = auto()
    OLLAMA = auto()
    HUGGINGFACE = auto()
    OSPACKAGES = auto()
    CHART = auto()
    ASSEMBLE = auto()
    RUNTIME = auto()
    OWN = auto()


class ReleaseFile(Frozen):
    """A file of a project's release, or a member of an archive that is one.

    In `url`, `checksums` and `member`, `{version}` is the artifact's version (escaped in addresses),
    `{plain}` the same without a leading v, `{arch}` the architecture and `{name}` what `names` has for it.
    `checksums` is a file in sha256sum's format, or one that holds nothing but the digest.
    """

    url: str
    checksums: str
    member: str | None = None
    names: dict[Architecture, str] = Field(default_factory=dict)


class UpstreamImage(Frozen):
    """An image of a registry.

    `reference` is its repository, left out: the artifact's name. `tag` may hold `{version}`. With `listed`
    the tag is not ours to choose: it is the one that this list of images (an address, one reference a line)
    names for the repository.
    """

    reference: str | None = None
    tag: str = "{version}"
    listed: str | None = None


class HelmChart(Frozen):
    """A chart of a Helm repository (https://…, with an index.yaml) or of a registry (oci://…)."""

    repository: str
    chart: str
    version: str = "{version}"


class OllamaModel(Frozen):
    """A model of Ollama's registry; `name` left out is the artifact's name, `tag` its version."""

    name: str | None = None
    tag: str = "{version}"


class HuggingFaceModel(Frozen):
    """Files of a repository of the Hugging Face hub at one commit; `files` are glob patterns."""

    repository: str
    revision: str
    files: tuple[str, ...] = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


class Assemble(Frozen):
    """An image made of another one and a layer of ours: Python wheels of a lock, and sources.

    `base` is the other image's repository, `tag` where its tag is owned, `python` the version of its Python.
    Wheels and sources go below the folder `root`; the rest says how a container of it is started.
    """

    base: str
    tag: FromVersions
    python: str
    requirements: str
    sources: tuple[str, ...] = ()
    root: str
    env: dict[str, str] = Field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str


class OwnRuntime(PythonRuntime):
    """aiplat itself; `sources` is what its wheel is made of."""

    sources: tuple[str, ...]


class UpstreamRecipe(Frozen):
    """Exactly one way to fetch, or make of fetched parts, one artifact.

    `version` is there where the upstream counts otherwise than what `packages` builds. `own` is a model that
    a site has itself, and stands in no component.yaml.
    """

    version: VersionSource | None = None
    release: ReleaseFile | None = None
    image: UpstreamImage | None = None
    helm: HelmChart | None = None
    ollama: OllamaModel | None = None
    huggingface: HuggingFaceModel | None = None
    ospackages: OsPackages | None = None
    chart: str | None = None
    assemble: Assemble | None = None
    runtime: OwnRuntime | None = None
    own: OwnFiles | None = None

    @property
    def kind(self) -> UpstreamKind:
        """Which fetcher gets it."""
        return next(kind for kind in UpstreamKind if getattr(self, kind) is not None)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [name for name in type(self).model_fields if name != "version"]
        if sum(getattr(self, name) is not None for name in ways) != 1:
            raise ValueError(f"needs exactly one of {', '.join(way for way in ways if way != 'own')}")
        return self
