"""What each artifact of a bundle holds: packages, Go modules, programs, and what nothing here can read."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.check import verify
from aiplat.bundle.contents.layers import LayerFile, image_files, program
from aiplat.bundle.contents.package import FoundPackage
from aiplat.bundle.contents.packages import owned_by_packages, packages_of, plain_path
from aiplat.catalog.artifacts import Artifact, Digest, OsPackage
from aiplat.content import parsed_json
from aiplat.errors import AiplatError, CheckFailed, Finding
from aiplat.site.systems import SYSTEMS

OnArtifact = Callable[[str], None]
_ELF = b"\x7fELF"


@dataclass(frozen=True)
class Contents:
    """One artifact for one platform, with what was found in it; `unread` says what was not, as sentences."""

    artifact: Artifact
    platform: str
    manifest: Digest
    layers: tuple[Digest, ...]
    packages: tuple[FoundPackage, ...]
    unread: tuple[str, ...]


def contents_of(bundle: Bundle, image: str = "", told: OnArtifact = lambda _: None) -> list[Contents]:
    """Return what is in a bundle, in the lock's order; with `image` in that image alone.

    Raises:
        CheckFailed: a file that was read is not what bundle.json says of it.
        AiplatError: an artifact cannot be read.
    """
    chosen = [a for a in bundle.lock.artifacts if not image or (a.kind, a.name) == ("image", image)]
    # The weights of models can be a hundred gigabytes, and nothing in them is read.
    digests = [blob.digest for a in chosen if a.kind != "model" for blob in a.blobs]
    if altered := verify(bundle.path, digests):
        raise CheckFailed(altered)
    found: list[Contents] = []
    for artifact in chosen:
        told(artifact.label)
        try:
            found += _read(bundle, artifact)
        except (OSError, ValueError, LookupError, tarfile.TarError, EOFError) as error:
            fix = "make the bundle again: aiplat bundle build"
            raise AiplatError(Finding(artifact.ref, f"cannot be read: {error}", fix)) from None
    return found


def _read(bundle: Bundle, artifact: Artifact) -> Iterator[Contents]:
    for platform, digest, manifest in _manifests(bundle, artifact):
        layers = tuple(str(layer["digest"]) for layer in manifest["layers"])
        packages: list[FoundPackage] = []
        unread: list[str] = []
        if artifact.kind == "image":
            packages, unread = _in_image(image_files(bundle.path, manifest["layers"]))
        elif artifact.kind == "hostfile":
            packages, unread = _in_hostfile(bundle, artifact, layers)
        yield Contents(artifact, platform, digest, layers, tuple(packages), tuple(unread))


def _manifests(bundle: Bundle, artifact: Artifact) -> Iterator[tuple[str, Digest, dict[str, Any]]]:
    """Yield the manifest of each platform that is in the bundle."""
    digest = str(artifact.digest)
    document = _json(bundle, digest)
    if "manifests" not in document:
        yield artifact.platform, digest, document
        return
    there = {blob.digest for blob in artifact.blobs}
    for one in document["manifests"]:
        if one["digest"] in there and (said := _json(bundle, one["digest"])).get("layers") is not None:
            platform = one.get("platform", {})
            yield f"{platform.get('os')}/{platform.get('architecture')}", one["digest"], said


def _json(bundle: Bundle, digest: Digest) -> dict[str, Any]:
    return dict(parsed_json(bundle.blob_path(digest).read_bytes()))


def _in_image(files: Mapping[str, LayerFile]) -> tuple[list[FoundPackage], list[str]]:
    packages = packages_of(files)
    owned = owned_by_packages(files)
    programs = {name: seen for name, seen in files.items() if seen.program}
    loose = {name: seen for name, seen in programs.items() if plain_path(name) not in owned}
    listed: set[Digest | None] = set()
    for name, seen in sorted(loose.items()):
        # One that has many names, as busybox has, is one program.
        if seen.program not in listed:
            listed.add(seen.program)
            packages.append(FoundPackage("file", name, "", name, seen.layer, digest=seen.program))
    for name, seen in sorted(programs.items()):
        packages += go_packages(name, seen)
    return packages, [*_unread(files), *_old_go(programs)]


def _in_hostfile(
    bundle: Bundle, artifact: Artifact, layers: tuple[Digest, ...]
) -> tuple[list[FoundPackage], list[str]]:
    if artifact.packages:
        return [_os_package(artifact, one) for one in artifact.packages], []
    seen: dict[str, LayerFile] = {}
    for layer in layers:
        with bundle.blob_path(layer).open("rb") as stream:
            if stream.read(len(_ELF)) == _ELF:
                stream.seek(0)
                seen[artifact.name] = program(stream, layer)
    if artifact.taken and not seen:
        return [_debian_package(artifact, layers)], []
    packages = [package for name, one in seen.items() for package in go_packages(name, one)]
    packed = f"programs that {artifact.name} unpacks when it starts, if it does"
    return packages, [packed, *_old_go(seen)] if seen else [f"what {artifact.name} is: it is not a program"]


def _os_package(artifact: Artifact, one: OsPackage) -> FoundPackage:
    system = str(artifact.os)
    kind = SYSTEMS[artifact.os].family if artifact.os else "deb"
    return FoundPackage(
        kind, one.name, one.version, "bundle.json", one.digest, one.arch, system, digest=one.digest
    )


def _debian_package(artifact: Artifact, layers: tuple[Digest, ...]) -> FoundPackage:
    name, version, layer = artifact.name, artifact.version, layers[0]
    return FoundPackage("deb", name, version, "bundle.json", layer, artifact.arch, "debian", digest=layer)


def go_packages(name: str, seen: LayerFile) -> Iterator[FoundPackage]:
    """Yield Go's library and the modules of a program; those of no program that is not Go's."""
    if seen.go:
        yield FoundPackage("golang", "stdlib", seen.go.go, name, seen.layer)
        for module in seen.go.modules:
            yield FoundPackage("golang", module.path, module.version.strip(), name, seen.layer)


def _unread(files: Mapping[str, LayerFile]) -> list[str]:
    counted = Counter(seen.unread for seen in files.values() if seen.unread)
    return [f"{what} ({count} files)" for what, count in sorted(counted.items())]


def _old_go(programs: Mapping[str, LayerFile]) -> list[str]:
    old = sorted(name for name, seen in programs.items() if seen.is_go and not seen.go)
    return [
        f"modules of {name}: a Go before 1.18 built it, or its build information is damaged" for name in old
    ]
