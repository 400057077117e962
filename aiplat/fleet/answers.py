"""What hosts answer, read without trust in them: a bounded number of bytes, and plain JSON."""

from __future__ import annotations

import os
import select
import selectors
import subprocess
import time
from typing import IO, Any, cast

from pydantic_core import from_json

OUTPUT_BYTES = 16 << 20
"""Bytes that one answer may have; the largest look at a host is less than a tenth of it."""
HEARD_BYTES = 4 << 20
"""Bytes that one line of a stream may have, with what comes before it: a host's 50,000 missing blobs."""
SAID_BYTES = 64 << 10
"""Bytes that are kept of what a command writes about its errors: the last ones say why it ended."""
_SAID_CHARACTERS = 300
_PIECE = 64 << 10
# The smallest number that JSON's readers elsewhere, and arithmetic with fractions, do not take any more.
_TOO_LARGE = 1 << 63


class TooMuchError(Exception):
    """A command writes more than any answer has."""


def exchange(process: subprocess.Popen[bytes], data: bytes, seconds: float | None) -> tuple[bytes, bytes]:
    """Write `data` to a process, wait until it ends, and return what it wrote: its output, its last errors.

    Raises:
        TooMuchError: its output is longer than OUTPUT_BYTES; it runs on.
        subprocess.TimeoutExpired: it did not end in time; it runs on.
    """
    until = None if seconds is None else time.monotonic() + seconds
    source, output, errors = (cast("IO[bytes]", p) for p in (process.stdin, process.stdout, process.stderr))
    left, got, said = memoryview(data), bytearray(), bytearray()
    with selectors.DefaultSelector() as waiting:
        waiting.register(source, selectors.EVENT_WRITE)
        waiting.register(output, selectors.EVENT_READ)
        waiting.register(errors, selectors.EVENT_READ)
        while waiting.get_map():
            for key, _ in waiting.select(_remaining(process, until, seconds)):
                if key.fileobj is source:
                    left = _written(source, left)
                    ended = not left
                else:
                    piece = os.read(key.fd, _PIECE)
                    (got if key.fileobj is output else said).extend(piece)
                    ended = not piece
                if ended:
                    waiting.unregister(key.fileobj)
                    cast("IO[bytes]", key.fileobj).close()
            del said[:-SAID_BYTES]
            if len(got) > OUTPUT_BYTES:
                raise TooMuchError
    process.wait(_remaining(process, until, seconds))
    return bytes(got), bytes(said)


def _remaining(process: subprocess.Popen[bytes], until: float | None, seconds: float | None) -> float | None:
    if until is None:
        return None
    remaining = until - time.monotonic()
    if remaining <= 0:
        raise subprocess.TimeoutExpired(process.args, seconds or 0)
    return remaining


def _written(source: IO[bytes], left: memoryview) -> memoryview:
    """Write a piece that a pipe takes at once, and return what is left; nothing where nobody reads it."""
    try:
        return left[os.write(source.fileno(), left[: select.PIPE_BUF]) :] if left else left
    except BrokenPipeError:
        return memoryview(b"")


def document_of(data: bytes) -> dict[str, Any]:
    """Return the JSON object that a host wrote.

    Raises:
        ValueError: it is not one, is nested deeply, or has half characters or numbers without an end.
    """
    document = from_json(data, allow_inf_nan=False)
    if not isinstance(document, dict):
        raise ValueError("it is not an object")
    _check_numbers(document)
    return document


def _check_numbers(value: Any) -> None:
    if isinstance(value, int) and abs(value) >= _TOO_LARGE:
        raise ValueError("it has a number that is too large")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_numbers(part)


def last_line(said: str, otherwise: str) -> str:
    """Return the last line of what a command said about its errors, at a length that can be shown."""
    line = (said.strip().splitlines() or [otherwise])[-1].strip()
    return line if len(line) <= _SAID_CHARACTERS else f"{line[:_SAID_CHARACTERS]}…"
