"""Makes and repairs the bundle of a lock from what a supply delivers; how that is made is aiplat.supply's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiplat.bundle import installer
from aiplat.bundle.bundle import Bundle
from aiplat.bundle.cards import add_card, card_files
from aiplat.bundle.check import altered
from aiplat.bundle.document import (
    CHECKSUM,
    DOCUMENT,
    INDEX,
    INSTALLER,
    LAYOUT,
    BundledFile,
    BundleDocument,
    checksum_line,
    lock_digest,
)
from aiplat.bundle.statement import still_signed
from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.catalog.lockfile import write_lock
from aiplat.catalog.own_models import catalog_of
from aiplat.content import canonical_json, sha256_bytes, sha256_file, write_atomic
from aiplat.errors import AiplatError, Finding
from aiplat.site.models import Site
from aiplat.state import bundle_dir, private_dir, site_dir
from aiplat.supply.all_at_once import of_each
from aiplat.supply.contract import DONE, Supplied, Supply, SupplyProgress
from aiplat.supply.oci import REF_NAME, Descriptor, blob_path, link_or_copy, media_type_of, write_layout
from aiplat.supply.scan import scanned

ADD = "add bytes to the bundle"
"""The phase in which an artifact's content is compared and linked into the bundle."""


def build_bundle(site: Site, lock: Lock, supply: Supply, on_progress: SupplyProgress) -> Bundle:
    """Make the site's bundle and write its complete lock beside it.

    What is already there and whole stays; what a flipped bit or an interruption damaged is made again.

    Raises:
        AiplatError: something cannot be supplied; everything else is finished first and kept.
    """
    supply.check(lock.artifacts)
    path = private_dir(bundle_dir(site.name))
    supplied = of_each(lock, supply, lambda artifact: _supply(artifact, site, supply, on_progress))
    try:
        for one in supplied:
            _add(path, one, supply, on_progress)
        referrers = _cards(path, site, supplied)
        complete = lock.model_copy(update={"artifacts": tuple(one.artifact for one in supplied)})
        bundle = _finish(path, complete, referrers)
        write_lock(site_dir(site.name) / "lock.yaml", complete)
    except OSError as error:
        problem = f"cannot be written: {error.strerror or error}"
        raise AiplatError(
            Finding(str(path), problem, "make room, then run the same command again")
        ) from error
    return bundle


def open_ready(site: Site, lock: Lock) -> Bundle | None:
    """Return the site's bundle if it fulfils `lock` and no file is missing; nothing is hashed."""
    try:
        bundle = Bundle.open(bundle_dir(site.name))
    except AiplatError:
        return None
    if [_wanted(a) for a in bundle.lock.artifacts] != [_wanted(a) for a in lock.artifacts]:
        return None
    sizes = {bundle.path / name: file.size for name, file in bundle.document.files.items()}
    whole = all(path.is_file() and path.stat().st_size == size for path, size in sizes.items())
    return bundle if whole else None


def _cards(path: Path, site: Site, supplied: list[Supplied]) -> list[Descriptor]:
    catalog = catalog_of(site)
    models = [one for one in supplied if one.artifact.kind == "model"]
    return [card for one in models for card in add_card(path, one, catalog, site.model_formats)]


def _wanted(artifact: Artifact) -> tuple[str, str]:
    return artifact.label, artifact.key


def _supply(artifact: Artifact, site: Site, supply: Supply, told: SupplyProgress) -> Supplied:
    """Return an artifact; a model is looked into before anything of it becomes a part of the bundle.

    Raises:
        AiplatError: it cannot be made, or the scan found something.
    """
    supplied = supply.supply(artifact, told)
    if artifact.kind == "model":
        scanned(supplied, site.model_formats, told)
    told(supplied.artifact, DONE, supplied.artifact.size, supplied.artifact.size)
    return supplied


def _add(path: Path, supplied: Supplied, supply: Supply, told: SupplyProgress) -> None:
    """Put an artifact's blobs into the bundle; content is compared with its digest on the way."""
    done = 0
    for blob in supplied.artifact.blobs:
        target = blob_path(path, blob.digest)
        if altered(target, blob.digest):
            source = _whole(supplied, blob.digest, supply, told)
            link_or_copy(source, target)
        done += blob.size
        told(supplied.artifact, ADD, done, supplied.artifact.size)


def _whole(supplied: Supplied, digest: str, supply: Supply, told: SupplyProgress) -> Path:
    """Return a blob's file in the cache; a damaged artifact is made again once.

    Raises:
        AiplatError: it came out differently this time.
    """
    source = blob_path(supplied.folder, digest)
    if altered(source, digest):
        supply.discard(supplied.artifact)
        supply.supply(supplied.artifact, told)
    if altered(source, digest):
        problem = f"its cached copy was damaged and {digest} did not come out of making it again"
        raise AiplatError(Finding(supplied.artifact.ref, problem, "run the same command again"))
    return source


def _finish(path: Path, lock: Lock, referrers: list[Descriptor]) -> Bundle:
    """Write the bundle's own files, bundle.json last, and remove blobs that nothing needs."""
    write_layout(path, [*(_described(path, artifact) for artifact in lock.artifacts), *referrers])
    blobs = {blob.digest: blob.size for artifact in lock.artifacts for blob in artifact.blobs}
    files = {
        f"blobs/sha256/{d.removeprefix('sha256:')}": BundledFile(sha256=d, size=s) for d, s in blobs.items()
    }
    files |= card_files(path, referrers)
    own = [LAYOUT, INDEX, *_installer(path, lock)]
    for name in own:
        files[name] = BundledFile(sha256=sha256_file(path / name), size=(path / name).stat().st_size)
    document = BundleDocument(lock_digest=lock_digest(lock), lock=lock, files=dict(sorted(files.items())))
    data = canonical_json(document.model_dump(mode="json", by_alias=True)) + b"\n"
    write_atomic(path / DOCUMENT, data)
    write_atomic(path / CHECKSUM, checksum_line(sha256_bytes(data)))
    known = {path / name for name in (*files, DOCUMENT, CHECKSUM, *still_signed(path, sha256_bytes(data)))}
    for found in path.rglob("*"):
        if not found.is_dir() and found not in known:
            found.unlink()
    return Bundle(path, document, data)


def _installer(path: Path, lock: Lock) -> list[str]:
    """Write the program that installs the bundle's runtime, if it has one, and return its name."""
    if not lock.of("runtime"):
        return []
    write_atomic(path / INSTALLER, Path(installer.__file__).read_bytes(), mode=0o755)
    return [INSTALLER]


def _described(path: Path, artifact: Artifact) -> dict[str, Any]:
    """Return the index entry of an artifact; an image for several platforms is an index of its own."""
    size = next(blob.size for blob in artifact.blobs if blob.digest == artifact.digest)
    media = media_type_of(path, str(artifact.digest))
    system, _, architecture = artifact.platform.partition("/")
    one = {"platform": {"os": system, "architecture": architecture}}
    return {
        "mediaType": media,
        "digest": artifact.digest,
        "size": size,
        **({} if "index" in media or "list" in media else one),
        "annotations": {
            REF_NAME: f"{artifact.name}:{artifact.version}",
            "dev.aiplat.kind": artifact.kind,
            "dev.aiplat.component": artifact.component,
        },
    }
