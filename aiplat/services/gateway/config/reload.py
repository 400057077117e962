"""Notices that mounted files were replaced and has them read again; knows nothing of what they hold."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

log = logging.getLogger("aiplat.gateway")

# Kubernetes itself takes up to a minute to replace a mounted Secret; a second more is nothing.
_EVERY_SECONDS = 1.0


def fingerprint(paths: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """Return what changes when one of `paths`, or a file in a folder among them, is replaced."""
    found = []
    for path in paths:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in files:
            stat = file.stat()
            found.append((str(file), stat.st_ino, stat.st_mtime_ns))
    return tuple(found)


def _see_files(paths: Iterable[Path]) -> None:
    """Refuse a pipe or a device in a file's place: it would be waited for, and with it every request."""
    for path in paths:
        if not (path.is_file() or path.is_dir()):
            raise OSError(f"{path}: is not a file")


async def reload_on_change(
    paths: tuple[Path, ...] | Callable[[], tuple[Path, ...]], read: Callable[[], None]
) -> None:
    """Call `read` whenever one of `paths` changes, until cancelled; a failing read keeps the old content.

    Which paths there are may itself change with what was read: then `paths` is asked each time.
    """
    listed = paths if callable(paths) else lambda: paths
    seen, said = fingerprint(listed()), ""
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        try:
            now = fingerprint(listed())
            if now != seen:
                _see_files(listed())
                read()
                seen = now
                log.info("read again: %s", ", ".join(str(p) for p in listed()))
            said = ""
        except Exception as error:
            # Whatever is in a file, what was read before continues. It is tried every second, and said once.
            problem = str(error) or type(error).__name__
            if problem != said:
                log.warning("cannot be read, the old content stays: %s", problem)
            said = problem
