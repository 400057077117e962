"""Content encodings of requests and answers: unpacked in small pieces, so that nothing can unfold at once."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

import brotli
import zstandard

from aiplat.services.bounds import UNPACKED_PIECE_BYTES

_MOST_ENCODINGS = 2
_GZIP = 31  # zlib's number for a gzip header
# Larger windows than 8 MiB take more memory than a request may; RFC 9659 allows no larger ones.
_ZSTD_WINDOW = 8 << 20


class WrongEncoding(ValueError):
    """An encoding that is not known, or data that are not in it."""


class _Layer(Protocol):
    """Undoes one encoding."""

    @property
    def ended(self) -> bool:
        """Whether the data's own end was seen."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` unfolds to, in pieces."""


class _Zlib:
    def __init__(self, gzip: bool) -> None:
        self._gzip = gzip
        self._started = False
        self._inner = zlib.decompressobj(_GZIP) if gzip else zlib.decompressobj()

    @property
    def ended(self) -> bool:
        return self._inner.eof or not self._started

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if not self._started:
                self._begin(data)
            if self._inner.eof:
                if not self._gzip:
                    return
                # Several members in a row are one content.
                self._inner = zlib.decompressobj(_GZIP)
            try:
                yield self._inner.decompress(data, UNPACKED_PIECE_BYTES)
            except zlib.error as error:
                raise WrongEncoding(str(error)) from None
            data = self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail

    def _begin(self, data: bytes) -> None:
        self._started = True
        # Some send deflate without the header that HTTP asks for.
        if not self._gzip and data[0] & 0x0F != 8:
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()
        self._started = False

    @property
    def ended(self) -> bool:
        return bool(self._inner.is_finished()) or not self._started

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._started = self._started or bool(data)
        try:
            out = self._inner.process(data, output_buffer_limit=UNPACKED_PIECE_BYTES)
            yield out
            while out and not self._inner.is_finished():
                out = self._inner.process(b"", output_buffer_limit=UNPACKED_PIECE_BYTES)
                yield out
        except brotli.error as error:
            raise WrongEncoding(str(error)) from None


class _Zstd:
    def __init__(self) -> None:
        self._made = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._inner = self._made.decompressobj(write_size=UNPACKED_PIECE_BYTES)
        self._started = False

    @property
    def ended(self) -> bool:
        return self._inner.eof or not self._started

    def feed(self, data: bytes) -> Iterator[bytes]:
        # The library has no limit on what a call returns: a block unfolds to 128 KiB at most, and a block
        # of one repeated byte takes four bytes, so only so much is given at once.
        self._started = self._started or bool(data)
        begin = 0
        while begin < len(data):
            piece = data[begin : begin + 256]
            begin += len(piece)
            if self._inner.eof:
                self._inner = self._made.decompressobj(write_size=UNPACKED_PIECE_BYTES)
            try:
                yield self._inner.decompress(piece)
            except zstandard.ZstdError as error:
                raise WrongEncoding(str(error)) from None
            begin -= len(self._inner.unused_data) if self._inner.eof else 0


def encodings_of(header: str) -> tuple[str, ...]:
    """Return the encodings that a `content-encoding` names, in the order in which they are undone.

    Raises:
        WrongEncoding: one is not known, or there are too many.
    """
    if not header:
        return ()
    named = [name.strip().lower() for name in header.split(",")]
    found = tuple(reversed([name for name in named if name not in ("", "identity")]))
    if unknown := [name for name in found if name not in KNOWN]:
        raise WrongEncoding(f"{unknown[0][:40]!r} is not known; known are {', '.join(KNOWN)}")
    if len(found) > _MOST_ENCODINGS:
        raise WrongEncoding(f"more than {_MOST_ENCODINGS} encodings on top of each other")
    return found


def _layer(name: str) -> _Layer:
    if name == "br":
        return _Brotli()
    return _Zstd() if name == "zstd" else _Zlib(gzip=name != "deflate")


KNOWN = ("gzip", "x-gzip", "deflate", "br", "zstd")


class Unpacker:
    """Undoes encodings one after the other."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._layers = [_layer(name) for name in names]

    @property
    def ended(self) -> bool:
        """Whether everything that was begun has ended."""
        return all(layer.ended for layer in self._layers)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` unfolds to, in pieces.

        Raises:
            WrongEncoding: it does not.
        """
        yield from self._through(0, data)

    def _through(self, number: int, data: bytes) -> Iterator[bytes]:
        for piece in self._layers[number].feed(data):
            if not piece:
                continue
            if number + 1 == len(self._layers):
                yield piece
            else:
                yield from self._through(number + 1, piece)
