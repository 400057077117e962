"""Bundles whose images have just the files that a test says, made without a supply."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.document import CHECKSUM, DOCUMENT, BundledFile, BundleDocument, checksum_line, lock_digest
from aiplat.catalog.artifacts import Artifact, ArtifactKind, Blob, Lock
from aiplat.content import canonical_json, digest_of, parsed_json, sha256_bytes, sha256_file
from aiplat.supply.oci import LAYER, add_bytes, add_image, blob_path, write_layout

Layer = Mapping[str, bytes | str | None]
"""Path → content; a text is what a symbolic link leads to, None makes a folder."""


def layer(files: Layer) -> bytes:
    """Return a gzipped tar of the files, in their order."""
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size, member.mode = len(content), 0o755
                tar.addfile(member, io.BytesIO(content))
            else:
                member.type = tarfile.DIRTYPE if content is None else tarfile.SYMTYPE
                member.linkname = content or ""
                tar.addfile(member)
    return gzip.compress(text.getvalue(), mtime=0)


def bundle(
    path: Path,
    images: Mapping[str, Sequence[Layer]],
    files: Mapping[str, bytes] | None = None,
    component: str = "ollama",
) -> Bundle:
    """Return a bundle of images by their layers, and of host files by their content."""
    artifacts = [_image(path, name, layers, component) for name, layers in images.items()]
    artifacts += [_file(path, name, content, component) for name, content in (files or {}).items()]
    return finished(path, artifacts)


def finished(path: Path, artifacts: list[Artifact]) -> Bundle:
    """Write what makes the blobs of artifacts a bundle."""
    write_layout(path, [])
    lock = Lock(site="ward", supply="packages", artifacts=tuple(artifacts))
    names = [str(one.relative_to(path)) for one in path.rglob("*") if one.is_file()]
    listed = {n: BundledFile(sha256=sha256_file(path / n), size=(path / n).stat().st_size) for n in names}
    document = BundleDocument(lock_digest=lock_digest(lock), lock=lock, files=dict(sorted(listed.items())))
    data = canonical_json(document.model_dump(mode="json", by_alias=True)) + b"\n"
    (path / DOCUMENT).write_bytes(data)
    (path / CHECKSUM).write_bytes(checksum_line(sha256_bytes(data)))
    return Bundle.open(path)


def _image(path: Path, name: str, layers: Sequence[Layer], component: str) -> Artifact:
    described = [add_bytes(path, layer(one), f"{LAYER}+gzip") for one in layers]
    return _artifact(path, "image", name, str(add_image(path, described, {})["digest"]), component)


def _file(path: Path, name: str, content: bytes, component: str) -> Artifact:
    described = add_bytes(path, content, "application/vnd.aiplat.hostfile.v1")
    made = _artifact(path, "hostfile", name, str(add_image(path, [described], {})["digest"]), component)
    return made.model_copy(update={"file": described["digest"]})


def _artifact(path: Path, kind: ArtifactKind, name: str, digest: str, component: str) -> Artifact:
    manifest = parsed_json(blob_path(path, digest).read_bytes())
    there = [digest, *(one["digest"] for one in (manifest["config"], *manifest["layers"]))]
    blobs = tuple(Blob(digest=one, size=blob_path(path, one).stat().st_size) for one in there)
    return Artifact(
        kind=kind,
        name=name,
        version="1.0",
        component=component,
        inputs=digest_of([kind, name]),
        digest=digest,
        blobs=blobs,
    )


def go_program(modules: str, version: str = "go1.26.1") -> bytes:
    """Return a program with Go's build information as its linker writes it."""
    return b"\x7fELF" + bytes(60) + build_info(modules, version) + bytes(100)


def build_info(modules: str, version: str) -> bytes:
    """Return the information itself: a header, and two texts after their lengths."""
    marked = bytes(16) + modules.encode() + bytes(16)
    texts = b"".join(_varint(len(one)) + one for one in (version.encode(), marked))
    return b"\xff Go buildinf:\x08\x02" + bytes(16) + texts


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes((number & 0x7F | 0x80,)), number >> 7
    return out + bytes((number,))
