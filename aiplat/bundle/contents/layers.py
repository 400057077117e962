"""The files of an image that say what it holds, as its last layer leaves them: order and whiteouts count."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from aiplat.bundle.contents.go_programs import GoProgram, find_build_info
from aiplat.catalog.artifacts import Digest
from aiplat.content import CHUNK
from aiplat.supply.oci import blob_path

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_MOST_BYTES = 32 << 20
_MOST_TOGETHER = 256 << 20
_ELF = b"\x7fELF"

_TEXTS = re.compile(
    r"(usr/lib|etc)/os-release"
    r"|var/lib/dpkg/status|var/lib/dpkg/status\.d/[^/]+|var/lib/dpkg/info/[^/]+\.list"
    r"|usr/share/doc/[^/]+/copyright"
    r"|(usr/)?lib/apk/db/installed"
    r"|(.+/)?[^/]+\.(dist-info/(METADATA|RECORD)|egg-info/PKG-INFO)"
)
_UNREAD = {
    re.compile(
        r"(var/lib|usr/lib/sysimage)/rpm/(rpmdb\.sqlite|Packages(\.db)?)"
    ): "a database of RPM packages",
    re.compile(r"(.+/)?node_modules/(@[^/]+/)?[^/]+/package\.json"): "packages of Node.js",
    re.compile(r".+\.(jar|war)"): "Java archives",
    re.compile(r"(.+/)?gems/.+\.gemspec"): "gems of Ruby",
}


@dataclass(frozen=True)
class LayerFile:
    """One file that counts: the layer it is from, and its text, its target, or what a program is.

    `unread` names what it is part of, where that is nothing that is read here.
    """

    layer: Digest
    text: bytes = b""
    target: str = ""
    program: Digest | None = None
    go: GoProgram | None = None
    is_go: bool = False
    unread: str = ""


@dataclass
class _Room:
    """How many bytes the texts of an image, of all its layers together, may still take."""

    left: int

    def holds(self, size: int) -> bool:
        """Take so many bytes if they are left; return whether they were."""
        fits = size <= min(self.left, _MOST_BYTES)
        self.left -= size if fits else 0
        return fits


@dataclass
class _Layer:
    """What one layer does to those below it; `room` is what is left of its image's."""

    digest: Digest
    room: _Room
    files: dict[str, LayerFile] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    opaque: set[str] = field(default_factory=set)

    def hides(self, name: str) -> bool:
        """Whether a file of a layer below is not there any more."""
        above = [str(parent) for parent in PurePosixPath(name).parents]
        if name in self.gone or name in self.folders or name in self.others:
            return True
        return any(one in self.gone or one in self.opaque or one in self.others for one in above)


def image_files(folder: Path, layers: list[dict[str, object]]) -> dict[str, LayerFile]:
    """Return the files that count in an image, by their path, once all its layers lie on each other.

    Raises:
        OSError, tarfile.TarError: a layer cannot be read.
    """
    files: dict[str, LayerFile] = {}
    room = _Room(_MOST_TOGETHER)
    for described in layers:
        digest = str(described["digest"])
        if str(described.get("mediaType", "")).endswith("zstd"):
            files[f"{digest}"] = LayerFile(digest, unread="layers compressed with zstd")
            continue
        layer = _read(blob_path(folder, digest), _Layer(digest, room))
        files = {name: seen for name, seen in files.items() if not layer.hides(name)} | layer.files
    return files


def _read(path: Path, layer: _Layer) -> _Layer:
    with tarfile.open(path) as tar:
        for member in tar:
            name = str(PurePosixPath("/", member.name)).strip("/")
            folder, _, last = name.rpartition("/")
            if last == _OPAQUE:
                layer.opaque.add(folder)
            elif last.startswith(_WHITEOUT):
                layer.gone.add(f"{folder}/{last.removeprefix(_WHITEOUT)}".strip("/"))
            elif member.isdir():
                layer.folders.add(name)
            else:
                layer.others.add(name)
                layer.files.update((name, seen) for seen in _seen(tar, member, name, layer))
    return layer


def _seen(tar: tarfile.TarFile, member: tarfile.TarInfo, name: str, layer: _Layer) -> Iterator[LayerFile]:
    digest = layer.digest
    if member.islnk():
        target = str(PurePosixPath("/", member.linkname)).strip("/")
        yield from (seen for seen in (layer.files.get(target),) if seen)
    elif member.issym() and name.startswith("usr/share/doc/"):
        yield LayerFile(digest, target=member.linkname)
    elif member.isfile():
        unread = next((what for pattern, what in _UNREAD.items() if pattern.fullmatch(name)), "")
        stream = cast("BinaryIO", tar.extractfile(member))
        if unread:
            yield LayerFile(digest, unread=unread)
        elif _TEXTS.fullmatch(name):
            yield (
                LayerFile(digest, stream.read())
                if layer.room.holds(member.size)
                else LayerFile(digest, unread="lists of packages above 32 MiB, or 256 MiB in an image")
            )
        elif stream.read(len(_ELF)) == _ELF:
            stream.seek(0)
            yield program(stream, digest)


class _Hashed:
    """A stream that is hashed as it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.sum = stream, hashlib.sha256()

    def read(self, size: int = CHUNK) -> bytes:
        """Return the next bytes."""
        piece = self._stream.read(size)
        self.sum.update(piece)
        return piece


def program(stream: BinaryIO, layer: Digest) -> LayerFile:
    """Return a program: its digest, and if it is Go's, what it was built of."""
    hashed = _Hashed(stream)
    go, is_go = find_build_info(cast("BinaryIO", hashed))
    return LayerFile(layer, program=f"sha256:{hashed.sum.hexdigest()}", go=go, is_go=is_go)
