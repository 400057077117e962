"""Pins the packages of a set, and brings them as one OCI artefact, a layer each; choosing is in choice."""

from __future__ import annotations

from pathlib import Path

from aiplat.catalog.artifacts import OsPackage
from aiplat.content import digest_of
from aiplat.errors import AiplatError, Finding
from aiplat.supply.contract import Made
from aiplat.supply.oci import EMPTY, TITLE, VERSION, add_bytes, add_file, add_manifest, write_layout
from aiplat.supply.upstream.fetcher import FetchOrder, Pin
from aiplat.supply.upstream.sentences import HttpFailed

PACKAGE_SET = "application/vnd.aiplat.packages.v1"
_KINDS = {".deb": "application/vnd.debian.binary-package", ".rpm": "application/x-rpm"}


class OsPackageSets:
    """Packages of the hosts' operating systems; a set is pinned whole, for its parts need each other."""

    def pin(self, order: FetchOrder) -> Pin:
        """Read the system's indexes and choose what a minimal install of it lacks.

        Raises:
            AiplatError: an index is not what it must be, or the packages cannot be had together.
        """
        if order.recipe.ospackages is None:
            raise AiplatError(Finding(order.artifact.label, "names no packages"))
        # libsolv is not there for every machine aiplat runs on: only who locks packages needs it.
        from aiplat.supply.upstream.ospackages.choice import choose_packages  # noqa: PLC0415

        order.phase("read package indexes", 0, 0)
        packages = choose_packages(order.artifact, order.recipe.ospackages, order.http)
        return Pin(
            digest=digest_of([[p.name, p.version, p.digest] for p in packages]),
            source=f"{len(packages)} packages of {order.artifact.os}",
            size=sum(package.size for package in packages),
            packages=packages,
        )

    def fetch(self, order: FetchOrder, pin: Pin, folder: Path) -> Made:
        """Bring the very packages that are pinned.

        Raises:
            AiplatError: one is not there any more, or is not what the lock says.
        """
        done, total = 0, pin.size
        layers = []
        for package in pin.packages:
            # Another set may bring the same package just now.
            kept = order.kept / f"{order.artifact.inputs[-12:]}-{package.digest[-64:]}"

            def told(there: int, _: int, before: int = done) -> None:
                order.phase("fetch bytes", before + there, total)

            try:
                order.http.download(
                    package.source, kept, digest=package.digest, size=package.size, on_bytes=told
                )
            except HttpFailed as error:
                raise _gone(order, package) if error.status == 404 else error from error
            done += package.size
            name = _file_name(package)
            kind = _KINDS[Path(name).suffix]
            layers.append(add_file(folder, kept, kind) | {"annotations": {TITLE: name}})
        empty = add_bytes(folder, b"{}", EMPTY)
        named = {TITLE: order.artifact.name, VERSION: order.artifact.version, "dev.aiplat.supply": "upstream"}
        manifest = add_manifest(folder, empty, layers, named, artifactType=PACKAGE_SET)
        write_layout(folder, [manifest])
        return Made(manifest["digest"])


def _gone(order: FetchOrder, package: OsPackage) -> AiplatError:
    """Say that a package was replaced: archives keep the newest version of each alone."""
    problem = f"{package.name} {package.version} is not there any more: a newer one took its place"
    fix = f"take it: aiplat lock --update {order.artifact.component}"
    return AiplatError(Finding(order.artifact.label, problem, fix))


def _file_name(package: OsPackage) -> str:
    ending = ".deb" if package.source.endswith(".deb") else ".rpm"
    return f"{package.name}_{package.version.replace(':', '_')}_{package.arch}{ending}"
