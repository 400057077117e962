"""Puts a bundle together from its parts, wherever each lies, and from the bundle they were cut against."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.check import altered
from aiplat.bundle.document import DOCUMENT, INSTALLER, SIGNED, BundledFile
from aiplat.bundle.parts.listing import LIST, WORK, BundlePart, BundleParts, CarriedFile, pieces, read_list
from aiplat.bundle.parts.resumed import PARTIAL, Altered, of_disk, write_resumed
from aiplat.content import CHUNK, sha256_file, write_atomic
from aiplat.errors import AiplatError, BadInput, CheckFailed, Finding
from aiplat.supply.contract import Phase
from aiplat.supply.oci import blob_path, link_or_copy

JOIN = "join parts"
BASE = "take what the base has"
_SPARE = 64 << 20
_LOST = "it is damaged, or was exchanged: copy it again from where it was split"


@dataclass(frozen=True)
class Joined:
    """A bundle that was put together; `taken` are the bytes that came now."""

    bundle: Bundle
    taken: int


def join_bundle(folders: Sequence[Path], to: Path, base: Bundle | None, told: Phase) -> Joined:
    """Put a bundle together in `to`, which is a bundle only once all of it is there and is what it must be.

    What the folders have is taken and kept; with parts on several media it is called once for each of them.

    Raises:
        BadInput: these are not parts of one bundle, their base is another one, or `to` is something else.
        AiplatError: parts are missing or damaged, or there is not enough room.
    """
    listed = _listed(folders, to)
    if whole := _whole(to, listed):
        shutil.rmtree(to / WORK, ignore_errors=True)
        return Joined(whole, 0)
    _see_base(listed, base, folders)
    work = to / WORK
    _see_target(to, work)
    _see_room(listed, to, base)
    try:
        work.mkdir(parents=True, exist_ok=True)
        write_atomic(work / LIST, listed.text)
    except OSError as error:
        raise AiplatError(of_disk(work, error)) from error
    taken = _Taking(listed, folders, to, told).take()
    bundle = _described(work, listed, base)
    if base is not None:
        _take_base(bundle, listed, base, to, told)
    return Joined(_finish(work, to, listed), taken)


def _listed(folders: Sequence[Path], to: Path) -> BundleParts:
    """Return the list that all folders agree on; one that came before counts too.

    Raises:
        BadInput: there is none, or they are of different bundles.
    """
    absent = [folder for folder in folders if not folder.is_dir()]
    if absent:
        raise BadInput(
            [
                Finding(str(f), "there is no such folder", "see its name, and that it is mounted")
                for f in absent
            ]
        )
    lists = {f: known for f in (*folders, to / WORK) if (known := read_list(f))}
    if not lists:
        fix = f"name the folder with {LIST}, which `aiplat bundle split` wrote beside the parts"
        raise BadInput(Finding(", ".join(map(str, folders)), f"there is no {LIST}", fix))
    (first, wanted), *others = lists.items()
    for folder, other in others:
        if other != wanted:
            problem = f"holds parts of another bundle, or of other sizes, than {first}"
            raise BadInput(
                Finding(str(folder), problem, "join one bundle at a time, each to a folder of its own")
            )
    return wanted


def _whole(to: Path, listed: BundleParts) -> Bundle | None:
    """Return the bundle in `to` if it is the one in parts and no file is missing; nothing is hashed."""
    if not (to / DOCUMENT).is_file() or sha256_file(to / DOCUMENT) != listed.bundle:
        return None
    bundle = Bundle.open(to)
    sizes = {name: file.size for name, file in bundle.document.files.items()}
    sizes |= {file.name: file.size for file in listed.files}
    whole = all(_size(to / name) == size for name, size in sizes.items())
    return bundle if whole else None


def _size(path: Path) -> int:
    """Return a file's size, -1 where there is none."""
    return path.stat().st_size if path.is_file() and not path.is_symlink() else -1


def _see_base(listed: BundleParts, base: Bundle | None, folders: Sequence[Path]) -> None:
    where = str(folders[0])
    if listed.base is None:
        if base is not None:
            raise BadInput(Finding("--base", "the parts hold the whole bundle", "leave --base out"))
        return
    if base is None:
        problem = f"the parts hold only what another bundle has not: the one with bundle.json {listed.base}"
        raise BadInput(
            Finding(where, problem, "join it with its base: say --base and the folder of that bundle")
        )
    found = sha256_file(base.path / DOCUMENT)
    if found != listed.base:
        problem = f"is not the base of these parts: its bundle.json is {found}, not {listed.base}"
        raise BadInput(Finding(str(base.path), problem, "name the bundle that they were split against"))


def _see_target(to: Path, work: Path) -> None:
    if to.is_dir() and any(to.iterdir()) and not work.is_dir():
        what = "is another bundle" if (to / DOCUMENT).is_file() else "is not empty"
        raise BadInput(Finding(str(to), what, "name a new folder with --to"))


def _see_room(listed: BundleParts, to: Path, base: Bundle | None) -> None:
    """See that what is to come has room before any of it comes.

    Raises:
        AiplatError: it has not.
    """
    disk = next(folder for folder in (to, *to.absolute().parents) if folder.is_dir())
    missing = sum(max(0, file.size - _there(to, file)) for file in listed.files)
    if base is not None and base.path.stat().st_dev != disk.stat().st_dev:
        missing += (
            base.document.size
        )  # at most: what the new bundle has of it is known once bundle.json is there
    free = shutil.disk_usage(disk).free
    if missing + _SPARE > free:
        problem = f"{free / 1e6:.0f} MB are free, but {missing / 1e6:.0f} MB are to come"
        raise AiplatError(
            Finding(str(disk), problem, "make room, or name a folder on another disk with --to")
        )


def _there(to: Path, file: CarriedFile) -> int:
    """Return how many bytes of a file are there."""
    target = _target(to, file.name)
    return max(_size(target), _size(target.with_name(target.name + PARTIAL)), 0)


def _target(to: Path, name: str) -> Path:
    """Return where a file is put: a bundle's own files wait until all blobs are there."""
    return to / name if name.startswith("blobs/") else to / WORK / name


class _Taking:
    """Takes of the folders what is there, and knows what was missing or damaged."""

    def __init__(self, listed: BundleParts, folders: Sequence[Path], to: Path, told: Phase) -> None:
        self._listed, self._to, self._told = listed, to, told
        self._found = {part.name: path for part in listed.parts if (path := _found(part, folders))}
        self._cut = [
            f for part in listed.parts for f in _cut_off(part, folders) if part.name not in self._found
        ]
        self._missing: dict[str, None] = {}
        self._damaged: dict[str, Finding] = {}
        self._seen: set[str] = set()
        self._done = 0

    def take(self) -> int:
        """Bring every file; return how many bytes came now.

        Raises:
            AiplatError: a part is missing or damaged; the rest came and is kept.
        """
        began = sum(_there(self._to, file) for file in self._listed.files)
        offset = 0
        for file in self._listed.files:
            self._file(file, offset)
            offset += file.size
        findings = [*self._damaged.values(), *self._cut, *self._not_there()]
        if findings:
            raise AiplatError(findings)
        return self._listed.size - began

    def _file(self, file: CarriedFile, offset: int) -> None:
        target = _target(self._to, file.name)
        if _size(target) == file.size:
            self._moved(file.size)
            return

        def source(start: int) -> Iterator[bytes]:
            for piece in pieces(self._listed.parts, offset + start, file.size - start):
                path = self._found.get(piece.name)
                if path is None:
                    self._missing[piece.name] = None
                    return
                yield from _read(path, piece.start, piece.count)

        try:
            whole = write_resumed(target, file.size, file.sha256, source, self._moved)
        except Altered:
            if not self._damage(file, offset):
                problem = f"{file.name} did not come out of whole parts"
                self._damaged[file.name] = Finding(str(self._to), problem, "run the same command again")
            return
        # Before the medium is put away: that a beginning is damaged would be seen only with its end.
        if not whole and self._damage(file, offset):
            target.with_name(target.name + PARTIAL).unlink()

    def _damage(self, file: CarriedFile, offset: int) -> bool:
        """Find which of the parts that have a file are damaged; whether there are any."""
        names = {piece.name for piece in pieces(self._listed.parts, offset, file.size)}
        for part in self._listed.parts:
            path = self._found.get(part.name)
            if path and part.name in names and part.name not in self._seen:
                self._seen.add(part.name)
                if sha256_file(path) != part.sha256:
                    self._damaged[part.name] = Finding(
                        str(path), "its content is not what the list says", _LOST
                    )
        return bool(names & set(self._damaged))

    def _not_there(self) -> Iterator[Finding]:
        count = len(self._listed.parts)
        said = {finding.where.rpartition("/")[2] for finding in self._cut}
        for number, part in enumerate(self._listed.parts, 1):
            if part.name in self._missing and part.name not in said:
                fix = "run the same command again with the folder it is on; what came is kept"
                yield Finding(part.name, f"part {number} of {count} is missing", fix)

    def _moved(self, count: int) -> None:
        self._done += count
        self._told(JOIN, self._done, self._listed.size)


def _found(part: BundlePart, folders: Sequence[Path]) -> Path | None:
    return next((f / part.name for f in folders if _size(f / part.name) == part.size), None)


def _cut_off(part: BundlePart, folders: Sequence[Path]) -> list[Finding]:
    sizes = {f / part.name: size for f in folders if (size := _size(f / part.name)) >= 0}
    return [Finding(str(p), f"has {size} bytes instead of {part.size}", _LOST) for p, size in sizes.items()]


def _read(path: Path, start: int, count: int) -> Iterator[bytes]:
    """Yield bytes of a part.

    Raises:
        AiplatError: the medium does not give them.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(start)
            while count and (data := stream.read(min(count, CHUNK))):
                count -= len(data)
                yield data
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise AiplatError(Finding(str(path), problem, "see the medium; what came is kept")) from error


def _described(work: Path, listed: BundleParts, base: Bundle | None) -> Bundle:
    """Return the bundle that bundle.json describes, once it is just what the parts and the base hold.

    Raises:
        CheckFailed: it is not.
    """
    bundle = Bundle.open(work)
    carried = {f.name: BundledFile(sha256=f.sha256, size=f.size) for f in listed.files}
    own = {name for name in carried if name.startswith((DOCUMENT, *SIGNED))}
    there = {**(base.document.files if base else {}), **{n: f for n, f in carried.items() if n not in own}}
    lacking = [name for name, file in bundle.document.files.items() if there.get(name) != file]
    extra = [name for name in carried if name not in own and name not in bundle.document.files]
    findings = [
        Finding(name, "is in bundle.json, but neither in the parts nor in the base", _LOST)
        for name in lacking
    ]
    findings += [Finding(name, "is in the parts, but bundle.json does not list it", _LOST) for name in extra]
    if findings:
        raise CheckFailed(findings)
    return bundle


def _take_base(bundle: Bundle, listed: BundleParts, base: Bundle, to: Path, told: Phase) -> None:
    """Link or copy the blobs that the base has, each compared with its digest.

    Raises:
        CheckFailed: the base is damaged.
        AiplatError: they cannot be written.
    """
    carried = {file.name for file in listed.files}
    wanted = {name: file for name, file in bundle.document.files.items() if name not in carried}
    done, total = 0, sum(file.size for file in wanted.values())
    findings = []
    for name, file in wanted.items():
        source, target = blob_path(base.path, file.sha256), blob_path(to, file.sha256)
        if altered(source, file.sha256):
            findings.append(
                Finding(str(base.path / name), "was altered, or is missing", "make the base good first")
            )
        elif _size(target) != file.size:
            try:
                link_or_copy(source, target)
            except OSError as error:
                raise AiplatError(of_disk(target, error)) from error
        done += file.size
        told(BASE, done, total)
    if findings:
        raise CheckFailed(findings)


def _finish(work: Path, to: Path, listed: BundleParts) -> Bundle:
    """Put the bundle's own files in their place, bundle.json last."""
    own = [file.name for file in listed.files if not file.name.startswith("blobs/")]
    try:
        for name in sorted(own, key=lambda name: name == DOCUMENT):
            link_or_copy(work / name, to / name)
            if name == INSTALLER:
                with contextlib.suppress(OSError):  # a file system without modes
                    (to / name).chmod(0o755)
        shutil.rmtree(work)
    except OSError as error:
        raise AiplatError(of_disk(to, error)) from error
    return Bundle.open(to)
