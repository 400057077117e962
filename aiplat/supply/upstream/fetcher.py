"""What every upstream fetcher is given and gives back; how anything is fetched is not here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from aiplat.catalog.artifacts import Artifact, Blob, Digest, OsPackage
from aiplat.catalog.catalog import Catalog
from aiplat.catalog.components import CatalogModel, Component
from aiplat.catalog.resolve import this_platform
from aiplat.catalog.upstream_recipes import UpstreamRecipe
from aiplat.site.models import Site
from aiplat.supply.contract import Made, Phase, Supplied
from aiplat.supply.upstream.http import HttpClient


@dataclass(frozen=True)
class Pin:
    """What an upstream has for an artifact now: enough to fetch the very same content later.

    `digest` is the content's own: of an image's index (or manifest, where it has no index), of a release's
    file or archive, of a model's manifest. `source` is where it is, for people (`docker.io/library/x:1`, an
    address); `size` the bytes that are to come. `version` is set where only upstream knows it exactly.
    `platforms` are those that are taken, `packages` those of an operating system. `blobs` and `file` are the
    artifact's, where they are known before the content is there.
    """

    digest: Digest
    source: str
    size: int
    version: str | None = None
    platforms: tuple[str, ...] = ()
    packages: tuple[OsPackage, ...] = ()
    blobs: tuple[Blob, ...] = ()
    file: Digest | None = None


@dataclass(frozen=True)
class FetchOrder:
    """One artifact to be fetched for one site.

    `kept` is a folder for content on its way, by digest; it outlives a run that is killed. `phase` is told
    what is going on, how much is done and of how much; `work` is a folder that goes away afterwards.
    `other` returns another artifact of the lock by kind and name: a program that this one is made with.
    """

    artifact: Artifact
    component: Component
    recipe: UpstreamRecipe
    site: Site
    catalog: Catalog
    http: HttpClient
    kept: Path
    work: Path
    phase: Phase
    other: Callable[[str, str], Supplied]
    model: CatalogModel | None = None

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms of the site's hosts (`linux/amd64`), or in an existing cluster this machine's."""
        if self.site.is_guest:
            return (this_platform(),)
        return tuple(sorted({f"linux/{getattr(host, 'arch', 'amd64')}" for host in self.site.hosts}))

    @property
    def arch(self) -> str:
        """The architecture of the artifact itself, where it is for one."""
        return self.artifact.platform.partition("/")[2]

    def filled(self, template: str, **more: str) -> str:
        """Return a recipe's text with `{version}` and what else is known filled in."""
        version = self.artifact.version
        return template.format(version=version, plain=version.removeprefix("v"), arch=self.arch, **more)

    def filled_address(self, template: str, **more: str) -> str:
        """Return an address with the same filled in; nothing in it (`+`) means anything else there."""
        version = self.artifact.version
        known = {"version": version, "plain": version.removeprefix("v"), "arch": self.arch, **more}
        return template.format(**{name: quote(value, safe="") for name, value in known.items()})


class Fetcher(Protocol):
    """One protocol: asks what is there, and fetches what was pinned."""

    def pin(self, order: FetchOrder) -> Pin:
        """Ask upstream what the artifact is now; no content is fetched that the answer does not need.

        Raises:
            AiplatError: it cannot be had.
        """
        ...

    def fetch(self, order: FetchOrder, pin: Pin, folder: Path) -> Made:
        """Fetch what was pinned into `folder`, an empty OCI layout.

        Raises:
            AiplatError: it cannot be had, or is not what was pinned any more.
        """
        ...
