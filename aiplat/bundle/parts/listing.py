"""parts.json as a frozen model: which bundle lies there in parts, and which bytes of it each part holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from aiplat.bundle.document import CHECKSUM, DOCUMENT, INDEX, INSTALLER, LAYOUT, SIGNED
from aiplat.catalog.artifacts import Digest, Word
from aiplat.content import canonical_json, parsed_json, write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.frozen import Frozen

LIST = "parts.json"
SUMS = "SHA256SUMS"
WORK = ".joining"
"""What a bundle that is being joined keeps until it is whole."""
_LIST_BYTES = 64 << 20
_OWN = "|".join(re.escape(name) for name in (DOCUMENT, CHECKSUM, *SIGNED, INDEX, LAYOUT, INSTALLER))
_FileName = Annotated[str, Field(pattern=rf"^({_OWN}|blobs/sha256/[0-9a-f]{{64}})$")]
_PartName = Annotated[str, Field(pattern=r"^bundle\.part[0-9]{3,6}$")]


class CarriedFile(Frozen):
    """A file of the bundle that the parts hold."""

    name: _FileName
    size: int = Field(ge=0)
    sha256: Digest


class BundlePart(Frozen):
    """One part: the bytes from `offset` on of all carried files, one after the other."""

    name: _PartName
    offset: int = Field(ge=0)
    size: int = Field(gt=0)
    sha256: Digest


class BundleParts(Frozen):
    """parts.json; `bundle` and `base` are the sha256 of a bundle.json.

    With a base the parts hold only what that bundle has not, and are joined with it.
    """

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["BundleParts"] = "BundleParts"
    site: Word
    bundle: Digest
    base: Digest | None = None
    part_size: int = Field(gt=0, alias="partSize")
    files: tuple[CarriedFile, ...]
    parts: tuple[BundlePart, ...]

    @model_validator(mode="after")
    def _see_sums(self) -> BundleParts:
        ends = [part.offset + part.size for part in self.parts]
        if [part.offset for part in self.parts] != [0, *ends[:-1]] or (ends[-1:] or [0]) != [self.size]:
            raise ValueError("the parts do not add up to the files")
        for named in (self.files, self.parts):
            if len({one.name for one in named}) != len(named):
                raise ValueError("a name comes twice")
        return self

    @property
    def size(self) -> int:
        """Bytes of all carried files."""
        return sum(file.size for file in self.files)

    @property
    def text(self) -> bytes:
        """What parts.json holds."""
        return canonical_json(self.model_dump(mode="json", by_alias=True)) + b"\n"

    def write(self, folder: Path) -> None:
        """Write parts.json, and SHA256SUMS for those who check parts with `sha256sum`."""
        sums = "".join(f"{part.sha256.removeprefix('sha256:')}  {part.name}\n" for part in self.parts)
        write_atomic(folder / SUMS, sums.encode())
        write_atomic(folder / LIST, self.text)


@dataclass(frozen=True)
class PartPiece:
    """Bytes of one file or part, in the order of the parts."""

    name: str
    start: int
    count: int


def pieces(
    things: tuple[CarriedFile, ...] | tuple[BundlePart, ...], offset: int, count: int
) -> Iterator[PartPiece]:
    """Yield which bytes of files (or parts) lie in the `count` bytes from `offset` on."""
    at = 0
    for thing in things:
        start, end = max(offset, at), min(offset + count, at + thing.size)
        if start < end:
            yield PartPiece(thing.name, start - at, end - start)
        at += thing.size


def read_list(folder: Path) -> BundleParts | None:
    """Return what a folder's parts.json says, or None where there is none.

    Raises:
        BadInput: it is damaged.
    """
    path = folder / LIST
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream:
            text = stream.read(_LIST_BYTES + 1)
        return BundleParts.model_validate(parsed_json(text[:_LIST_BYTES]))
    except (OSError, ValueError, ValidationError):
        fix = "copy it again from another folder of the same parts"
        raise BadInput(Finding(str(path), "is damaged, or is not a list of parts", fix)) from None
