"""The Lock and its artifacts as frozen models; resolving a site to them is in aiplat.catalog.resolve."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from aiplat.catalog.engines import ModelFeature
from aiplat.content import digest_of
from aiplat.frozen import Frozen
from aiplat.site.systems import Arch, OsName

ArtifactKind = Literal["image", "hostfile", "chart", "model", "runtime"]
When = Literal["always", "selinux", "apparmor", "gpu", "gpu-open", "gpu-proprietary", "gpu-fabric"]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Word = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f\x7f-\x9f\"'`{}\[\]#$\\<>|;&]{1,255}$")]
"""A name or version: a lock may come from outside, and these reach hosts, Ansible and the terminal."""
PLATFORM = "linux/amd64"
"""What an artifact is for that does not say otherwise."""


class Blob(Frozen):
    """One content-addressed piece; `size` in bytes."""

    digest: Digest
    size: int = Field(ge=0)


class OsPackage(Frozen):
    """A package of an operating system; `signed` says what vouches for the index that named its digest."""

    name: str
    version: str
    arch: str
    digest: Digest
    size: int = Field(ge=0)
    source: str
    signed: str


class OwnModel(Frozen):
    """A model of a site's own, as its files were when they were pinned.

    `digest` stands for the names and digests of all its files, `size` for their bytes. `shape` and `weights`
    are what aiplat.fit computes with, None where it does not know the architecture.
    """

    digest: Digest
    size: int = Field(ge=0)
    features: tuple[ModelFeature, ...] = ()
    adapter: bool = False
    family: str = Field(default="", pattern=r"^[\w.-]{0,64}$")
    quantisation: str = Field(default="", pattern=r"^[\w.-]{0,64}$")
    parameters: str = Field(default="", pattern=r"^[0-9.]{0,16}[MB]?$")
    context_length: int | None = Field(default=None, gt=0, alias="contextLength")
    shape: dict[str, Any] | None = None
    weights: dict[str, Any] | None = None


class Artifact(Frozen):
    """One thing a host or the cluster installs, stored in the bundle as an OCI image or artefact.

    `name` is the upstream repository without tag (`docker.io/ollama/ollama`), or for a host file its
    name (`k3s`). A `runtime` is aiplat itself with all it runs on, for the operator's machine. `inputs`
    is the digest of everything it is made of and the key of the build cache.
    `hosts` says which hosts install or run it; one that is `lab_only` never goes to any other host.
    `digest` (of its OCI manifest) and `blobs` (manifest, config and layers) are empty until it was
    supplied once. For a host file the layer is the file itself and `file` its digest; a site with hosts of
    two architectures has it twice, once a `platform`. One with an `os` is a set of that system's `packages`,
    a layer each, for the hosts that `when` says. `taken` is which
    Debian packages are in it, `release/name` → version; None where there are none, or nothing noted them.
    Of what comes from upstream, `source` is where it is, `pinned` the digest of what is there (an image's
    index, a release's file, a model's manifest), `download` its bytes, and `platforms` which of several are
    taken. `own` is there for a model of the site's own.
    """

    kind: ArtifactKind
    name: Word
    version: Word
    component: Word
    platform: Word = PLATFORM
    os: OsName | None = None
    when: When = "always"
    hosts: Literal["all", "server"] = "server"
    lab_only: bool = False
    inputs: Digest
    digest: Digest | None = None
    file: Digest | None = None
    taken: dict[Word, Word] | None = None
    source: str | None = None
    pinned: Digest | None = None
    download: int | None = None
    platforms: tuple[str, ...] | None = None
    packages: tuple[OsPackage, ...] = ()
    own: OwnModel | None = None
    blobs: tuple[Blob, ...] = ()

    @property
    def arch(self) -> Arch:
        """The architecture it is for."""
        return "arm64" if self.platform.endswith("/arm64") else "amd64"

    @property
    def label(self) -> str:
        """`kind name`: what people see of it; the same before and after its exact version is known."""
        only = " ".join(part for part in (self.os or "", self.platform.replace(PLATFORM, "")) if part)
        return f"{self.kind} {self.name}{' for ' if only else ''}{only}"

    @property
    def key(self) -> Digest:
        """Under what it is kept once it was supplied: what it is made of, and what upstream had for it."""
        return self.inputs if self.pinned is None else digest_of([self.inputs, self.pinned, self.platforms])

    @property
    def ref(self) -> str:
        """`name:version`, with `@digest` where the digest is known."""
        tail = f"@{self.digest}" if self.digest else ""
        return f"{self.name}:{self.version}{tail}"

    @property
    def size(self) -> int:
        """Bytes of all blobs; 0 before the first supply."""
        return sum(b.size for b in self.blobs)


class Lock(Frozen):
    """Every version, digest and size a Site resolves to."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Lock"] = "Lock"
    site: Word
    supply: Literal["packages", "upstream"]
    artifacts: tuple[Artifact, ...]

    @property
    def complete(self) -> bool:
        """Whether every artifact has its digest, so that a host could install from it."""
        return all(a.digest for a in self.artifacts)

    def of(self, kind: ArtifactKind) -> tuple[Artifact, ...]:
        """Return the artifacts of one kind, in lock order."""
        return tuple(a for a in self.artifacts if a.kind == kind)

    def hostfile(self, name: str, arch: str) -> Artifact:
        """Return a host file of hosts of one architecture (`amd64`, `arm64`).

        Raises:
            KeyError: the lock has no such host file for them.
        """
        for candidate in self.of("hostfile"):
            if candidate.name == name and candidate.platform == f"linux/{arch}":
                return candidate
        raise KeyError(f"hostfile {name} for linux/{arch} is not in the lock of site {self.site}")

    def artifact(self, kind: ArtifactKind, name: str) -> Artifact:
        """Return one artifact by kind and name.

        Raises:
            KeyError: the lock has no such artifact.
        """
        for candidate in self.of(kind):
            if candidate.name == name:
                return candidate
        raise KeyError(f"{kind} {name} is not in the lock of site {self.site}")
