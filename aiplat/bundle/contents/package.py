"""One package, module or program of an artifact, whatever reader found it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from packageurl import PackageURL

from aiplat.catalog.artifacts import Digest

PackageKind = Literal["deb", "apk", "rpm", "pypi", "golang", "file"]


@dataclass(frozen=True)
class FoundPackage:
    """What a reader found; `place` is the file that says so, in the image's `layer`.

    `licences` are words as the package itself has them. `source` is the name of what a distribution built it
    from, `system` the distribution (`debian-12`), `digest` that of a program or of a package's file.
    """

    kind: PackageKind
    name: str
    version: str
    place: str
    layer: Digest
    arch: str = ""
    system: str = ""
    source: str = ""
    source_version: str = ""
    licences: tuple[str, ...] = ()
    digest: Digest | None = None

    @property
    def purl(self) -> PackageURL | None:
        """Its package URL; a program that belongs to no package has none."""
        if self.kind == "file":
            return None
        said = {"arch": self.arch, "distro": self.system}
        if self.kind == "golang":
            namespace, _, name = self.name.rpartition("/")
            return PackageURL("golang", namespace or None, name, self.version or None)
        if self.kind == "pypi":
            return PackageURL("pypi", None, self.name, self.version)
        distribution = self.system.partition("-")[0] or {"deb": "debian", "apk": "alpine"}.get(self.kind)
        return PackageURL(
            self.kind, distribution, self.name, self.version, {k: v for k, v in said.items() if v}
        )
