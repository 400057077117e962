"""Cuts a bundle into parts and writes them to folders; which bundle they are of stands in their list."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.document import CHECKSUM, DOCUMENT, INDEX, INSTALLER, LAYOUT, SIGNED
from aiplat.bundle.parts.listing import BundlePart, BundleParts, CarriedFile, pieces, read_list
from aiplat.bundle.parts.resumed import PARTIAL, Altered, of_disk, write_resumed
from aiplat.content import CHUNK, sha256_file
from aiplat.errors import AiplatError, BadInput, CheckFailed, Finding
from aiplat.supply.contract import Phase

READ = "read the bundle"
WRITE = "write parts"
_SPARE = 16 << 20
_FIX = "make the bundle again: aiplat bundle build"


@dataclass(frozen=True)
class Written:
    """Where the parts are now: those written by this call, and those that were there."""

    written: dict[str, Path] = field(default_factory=dict)
    kept: dict[str, Path] = field(default_factory=dict)


def list_parts(
    bundle: Bundle, size: int, base: Bundle | None, folders: Sequence[Path], told: Phase
) -> BundleParts:
    """Return the list of a bundle's parts; the whole bundle is hashed, unless a folder has the list already.

    Raises:
        CheckFailed: a file is missing or altered.
        BadInput: a folder holds the parts of something else.
    """
    files = _carried(bundle, base)
    digest = sha256_file(bundle.path / DOCUMENT)
    of_base = sha256_file(base.path / DOCUMENT) if base else None
    wanted = (digest, of_base, size, files)
    known = [found for folder in folders if (found := _known(folder, wanted))]
    if known:
        return known[0]
    parts = _hashed(bundle.path, files, size, told)
    return BundleParts(
        site=bundle.lock.site, bundle=digest, base=of_base, part_size=size, files=files, parts=parts
    )


def _known(folder: Path, wanted: tuple[object, ...]) -> BundleParts | None:
    """Return a folder's list, if it is the one that would be made.

    Raises:
        BadInput: parts of something else are there.
    """
    fix = "empty it, or name another folder"
    known = read_list(folder)
    if known is None and any(folder.glob("bundle.part*")):
        raise BadInput(Finding(str(folder), "holds parts without their list", fix))
    if known is not None and (known.bundle, known.base, known.part_size, known.files) != wanted:
        problem = "holds parts of another bundle, of another size or with another base"
        raise BadInput(Finding(str(folder), problem, fix))
    return known


def _carried(bundle: Bundle, base: Bundle | None) -> tuple[CarriedFile, ...]:
    """Return what the parts are to hold: the bundle's own files first, then blobs that the base has not."""
    own = [
        name
        for name in (DOCUMENT, CHECKSUM, *SIGNED, INDEX, LAYOUT, INSTALLER)
        if _is_file(bundle.path / name)
    ]
    found = [
        CarriedFile(name=n, size=(bundle.path / n).stat().st_size, sha256=sha256_file(bundle.path / n))
        for n in own
    ]
    there = base.document.files if base else {}
    blobs = {name: file for name, file in bundle.document.files.items() if name not in own}
    found += [
        CarriedFile(name=name, size=file.size, sha256=file.sha256)
        for name, file in sorted(blobs.items())
        if name not in there
    ]
    return tuple(found)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _hashed(path: Path, files: tuple[CarriedFile, ...], size: int, told: Phase) -> tuple[BundlePart, ...]:
    """Return the parts, once every file was found to be what bundle.json says.

    Raises:
        CheckFailed: one is not.
    """
    cut = _Cut(size)
    findings = []
    done, total = 0, sum(file.size for file in files)
    for file in files:
        seen, there = hashlib.sha256(), 0
        for data in _read(path / file.name, 0, file.size):
            seen.update(data)
            cut.add(data)
            there += len(data)
            done += len(data)
            told(READ, done, total)
        if there != file.size or "sha256:" + seen.hexdigest() != file.sha256:
            problem = "was altered" if there else "is missing"
            findings.append(Finding(file.name, problem, _FIX))
    if findings:
        raise CheckFailed(findings)
    return cut.end()


class _Cut:
    """Hashes a stream of bytes by parts."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: list[BundlePart] = []
        self._seen, self._there = hashlib.sha256(), 0

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        while data:
            now = data[: self._size - self._there]
            self._seen.update(now)
            self._there += len(now)
            data = data[len(now) :]
            if self._there == self._size:
                self._close()

    def end(self) -> tuple[BundlePart, ...]:
        """Return all parts; the last one may be shorter."""
        if self._there:
            self._close()
        return tuple(self._parts)

    def _close(self) -> None:
        name = f"bundle.part{len(self._parts) + 1:03}"
        digest = "sha256:" + self._seen.hexdigest()
        offset = sum(part.size for part in self._parts[-1:]) + (self._parts[-1].offset if self._parts else 0)
        self._parts.append(BundlePart(name=name, offset=offset, size=self._there, sha256=digest))
        self._seen, self._there = hashlib.sha256(), 0


def split_bundle(
    path: Path, listed: BundleParts, folders: Sequence[Path], numbers: Collection[int], told: Phase
) -> Written:
    """Write the parts with these numbers (from 1 on) to folders, each to the first that has room for it.

    Parts that are there stay; one that was cut off is continued. Every folder gets the list.

    Raises:
        AiplatError: there is not enough room, and nothing was written; or a folder cannot be written to.
    """
    wanted = [part for number, part in enumerate(listed.parts, 1) if number in numbers]
    result = Written()
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        places = _places(wanted, folders)
        for folder in folders:
            listed.write(folder)
    except OSError as error:
        raise AiplatError(of_disk(folder, error)) from error
    done, total = 0, sum(part.size for part in wanted)

    def moved(count: int) -> None:
        nonlocal done
        done += count
        told(WRITE, done, total)

    for part in wanted:
        target = places[part.name] / part.name
        if _there(target, part):
            result.kept[part.name] = target
            moved(part.size)
            continue
        _write(path, listed, part, target, moved)
        result.written[part.name] = target
    return result


def _write(
    path: Path, listed: BundleParts, part: BundlePart, target: Path, moved: Callable[[int], None]
) -> None:
    """Write a part; one whose beginning was torn by a cut is written again from its first byte.

    Raises:
        AiplatError: the bundle is no longer what was hashed.
    """

    def source(start: int) -> Iterator[bytes]:
        for piece in pieces(listed.files, part.offset + start, part.size - start):
            yield from _read(path / piece.name, piece.start, piece.count)

    resumed = target.with_name(target.name + PARTIAL).exists()
    for _ in range(2 if resumed else 1):
        try:
            if write_resumed(target, part.size, part.sha256, source, moved):
                return
        except Altered:
            continue
    raise AiplatError(Finding(str(path), f"was altered while {part.name} was written", _FIX))


def _read(path: Path, start: int, count: int) -> Iterator[bytes]:
    """Yield bytes of a file of the bundle; fewer, or none, where it does not have them."""
    if not _is_file(path):
        return
    with path.open("rb") as stream:
        stream.seek(start)
        while count and (data := stream.read(min(count, CHUNK))):
            count -= len(data)
            yield data


def _there(target: Path, part: BundlePart) -> bool:
    return _is_file(target) and target.stat().st_size == part.size


def _places(wanted: Sequence[BundlePart], folders: Sequence[Path]) -> dict[str, Path]:
    """Return which folder each part goes to: where it is or was begun, else the first with room.

    Raises:
        AiplatError: there is not enough room in all of them.
    """
    # Two folders of one disk share its room.
    disk = {folder: _disk(folder) for folder in folders}
    free = {disk[folder]: max(0, _free(folder) - _SPARE) for folder in folders}
    places: dict[str, Path] = {}
    without: list[BundlePart] = []
    for part in wanted:
        begun = {folder: _begun(folder, part) for folder in folders}
        ordered = sorted(folders, key=lambda folder: -begun[folder])
        place = next((f for f in ordered if free[disk[f]] >= part.size - begun[f]), None)
        if place is None:
            without.append(part)
            continue
        free[disk[place]] -= part.size - begun[place]
        places[part.name] = place
    if without:
        raise AiplatError(_no_room(wanted, without, folders))
    return places


def _begun(folder: Path, part: BundlePart) -> int:
    """Return how many bytes of a part are in a folder."""
    if _there(folder / part.name, part):
        return part.size
    partial = folder / (part.name + PARTIAL)
    return min(partial.stat().st_size, part.size) if _is_file(partial) else 0


def _disk(folder: Path) -> int:
    return folder.stat().st_dev


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _no_room(wanted: Sequence[BundlePart], without: Sequence[BundlePart], folders: Sequence[Path]) -> Finding:
    room = ", ".join(f"{f} ({_free(f) / 1e6:.0f} MB free)" for f in folders)
    size = sum(part.size for part in wanted) / 1e6
    lacking = f"{len(without)} of {len(wanted)} parts, from {without[0].name} on"
    problem = f"there is no room for {lacking} ({size:.0f} MB in all)"
    fix = "nothing was written; name another medium with --to, or take the parts in turns with --parts"
    return Finding(room, problem, fix)
