"""The build information that Go's linker writes into every program: which modules are in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from aiplat.content import CHUNK

_MAGIC = b"\xff Go buildinf:"
_ALIGNED = 16
_HEADER = 32
# Since Go 1.18 both texts follow the header; before, it had pointers to them.
_INLINE = 2
_SENTINEL = 16
_MOST_BYTES = 4 << 20
_MOST_TRIES = 64


@dataclass(frozen=True)
class GoModule:
    """A module that was compiled into a program; `replaces` is what the program's go.mod calls it."""

    path: str
    version: str
    replaces: str = ""


@dataclass(frozen=True)
class GoProgram:
    """What a program says of itself: Go's version, its own package, and its modules."""

    go: str
    package: str
    modules: tuple[GoModule, ...]


def find_build_info(stream: BinaryIO) -> tuple[GoProgram | None, bool]:
    """Return the build information in a program and whether it is of Go at all; reads the program to its end.

    One of Go before 1.18, and one whose build information is damaged, is of Go and has none.
    """
    kept = b""
    program: GoProgram | None = None
    is_go, tries = False, 0
    while piece := stream.read(CHUNK):
        window = kept + piece
        at = window.find(_MAGIC)
        if at >= 0 and program is None and tries < _MOST_TRIES:
            window += stream.read(_MOST_BYTES + _HEADER)
        # The magic alone is also in programs that look for it in others.
        while at >= 0 and program is None and tries < _MOST_TRIES:
            tries += 1
            program = _parsed(window[at : at + _HEADER + _MOST_BYTES])
            is_go = is_go or program is not None or window[at + len(_MAGIC) : at + _ALIGNED] in _WIDTHS
            at = window.find(_MAGIC, at + 1)
        kept = window[-_ALIGNED:]
    return program, is_go


_WIDTHS = tuple(bytes((width, flags)) for width in (4, 8) for flags in range(4))
"""What follows the magic: the size of a pointer, and flags."""


def _parsed(data: bytes) -> GoProgram | None:
    try:
        if not data[15] & _INLINE:
            return None
        version, rest = _text(data[_HEADER:])
        modules, _ = _text(rest)
        # 16 bytes before and after mark the text for who looks for it in memory.
        lines = modules[_SENTINEL:-_SENTINEL].decode().splitlines()
        named = version.decode()
    except (IndexError, UnicodeDecodeError):
        return None
    if not named.startswith(("go", "devel")):
        return None
    package = next((line.split("\t")[1] for line in lines if line.startswith("path\t")), "")
    return GoProgram(named.partition(" ")[0].removeprefix("go"), package, tuple(_modules(lines)))


def _text(data: bytes) -> tuple[bytes, bytes]:
    """Return a text that its length as a varint precedes, and what follows it."""
    length = shift = at = 0
    while True:
        byte = data[at]
        length |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    if length > min(_MOST_BYTES, len(data) - at):
        raise IndexError("it is cut")
    return data[at : at + length], data[at + length :]


def _modules(lines: list[str]) -> Iterator[GoModule]:
    before: GoModule | None = None
    for line in lines:
        kind, path, number, *_ = (*line.split("\t"), "", "")
        if kind == "=>" and before is not None:
            # A folder in place of a module has no version: the one it stands in for tells more.
            local = path.startswith((".", "/"))
            before = before if local else GoModule(path, number, before.path)
        elif kind in {"mod", "dep"}:
            if before is not None:
                yield before
            before = GoModule(path, number)
    if before is not None:
        yield before
