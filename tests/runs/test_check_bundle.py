"""What will be moved is hashed before any host is touched; a flipped bit anywhere in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.document import CHECKSUM, DOCUMENT, BundledFile, BundleDocument, checksum_line, lock_digest
from aiplat.catalog.artifacts import Artifact, Blob, Lock
from aiplat.content import canonical_json, sha256_bytes, write_atomic
from aiplat.errors import BadInput
from aiplat.runs.execute import check_bundle, involved_blobs
from aiplat.runs.run import running

KINDS = ("hostfile", "image", "chart", "model")
OWN_FILES = ("oci-layout", "index.json", DOCUMENT, CHECKSUM)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle with one artifact of each kind: a manifest, a configuration and a layer each."""
    path = tmp_path / "bundle"
    files = {}
    artifacts = []
    for kind in KINDS:
        blobs = [f"{kind} {part} of some length".encode() for part in ("manifest", "config", "layer")]
        for data in blobs:
            write_atomic(path / "blobs" / "sha256" / sha256_bytes(data).removeprefix("sha256:"), data)
        artifacts.append(_artifact(kind, blobs))
        files |= {f"blobs/sha256/{b.digest.removeprefix('sha256:')}": b for b in artifacts[-1].blobs}
    for name in ("oci-layout", "index.json"):
        write_atomic(path / name, name.encode())
        files[name] = Blob(digest=sha256_bytes(name.encode()), size=len(name))
    lock = Lock(site="ward-3", supply="packages", artifacts=tuple(artifacts))
    listed = {name: BundledFile(sha256=b.digest, size=b.size) for name, b in sorted(files.items())}
    document = BundleDocument(lock_digest=lock_digest(lock), lock=lock, files=listed)
    data = canonical_json(document.model_dump(mode="json", by_alias=True)) + b"\n"
    write_atomic(path / DOCUMENT, data)
    write_atomic(path / CHECKSUM, checksum_line(sha256_bytes(data)))
    return Bundle(path, document)


def _artifact(kind: str, blobs: list[bytes]) -> Artifact:
    described = tuple(Blob(digest=sha256_bytes(data), size=len(data)) for data in blobs)
    return Artifact(
        kind=kind,  # type: ignore[arg-type] # one of KINDS
        name=kind,
        version="1",
        component="c",
        inputs=described[0].digest,
        digest=described[0].digest,
        file=described[2].digest,
        blobs=described,
    )


def check(bundle: Bundle) -> None:
    """Check what a fresh server would be brought."""
    layers = tuple(artifact.blobs[2] for artifact in bundle.lock.artifacts)
    with running("ward-3", "bootstrap", lambda _event: None) as run:
        check_bundle(run, bundle, involved_blobs(bundle.lock, {"s1": layers}))


def test_whole_bundle_passes(bundle: Bundle) -> None:
    """Nothing is said about a bundle as it was made."""
    check(bundle)


@pytest.mark.parametrize("part", [0, 1, 2], ids=["manifest", "config", "layer"])
@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bit_in_any_part_of_any_kind_is_refused_by_name(bundle: Bundle, kind: str, part: int) -> None:
    """Also in a part that stays here: whoever altered it may have meant what is moved."""
    artifact = bundle.lock.artifact(kind, kind)  # type: ignore[arg-type] # one of KINDS
    path = bundle.blob_path(artifact.blobs[part].digest)
    flip(path)
    with pytest.raises(BadInput) as caught:
        check(bundle)
    assert [f.where for f in caught.value.findings] == [str(path)]


@pytest.mark.parametrize("name", OWN_FILES)
def test_flipped_bit_in_the_bundles_own_files_is_refused_by_name(bundle: Bundle, name: str) -> None:
    """What says which content is which is content too."""
    flip(bundle.path / name)
    with pytest.raises(BadInput) as caught:
        check(bundle)
    assert str(bundle.path / name) in [f.where for f in caught.value.findings]


def test_missing_file_is_refused_by_name(bundle: Bundle) -> None:
    """A file that was deleted is named as missing."""
    path = bundle.blob_path(bundle.lock.artifacts[0].blobs[2].digest)
    path.unlink()
    with pytest.raises(BadInput, match="is missing"):
        check(bundle)


def test_what_is_not_moved_is_not_hashed(bundle: Bundle) -> None:
    """An artifact that every host has already costs nothing, so a second run stays fast."""
    only = bundle.lock.artifact("model", "model")
    others = involved_blobs(bundle.lock, {"s1": only.blobs[:1]})
    assert others == {blob.digest for blob in only.blobs}


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
