"""Orders Debian versions as dpkg does (deb-version(7)); rpm's are ordered by libsolv itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

_PART = re.compile(r"(\D*)(\d*)")
Key = tuple[int, tuple[object, ...], tuple[object, ...]]


@cache
def sort_key(version: str) -> Key:
    """Return what sorts as the version does."""
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return int(epoch) if epoch.isdigit() else 0, _parts(upstream), _parts(revision)


def ranks(versions: Iterable[str]) -> dict[str, int]:
    """Return a number for each version; of two versions the later one has the greater number."""
    ordered = sorted(set(versions), key=sort_key)
    found: dict[str, int] = {}
    rank = 0
    for before, version in zip([None, *ordered], ordered, strict=False):
        rank += before is None or sort_key(before) != sort_key(version)
        found[version] = rank
    return found


def _parts(text: str) -> tuple[object, ...]:
    """Return letters and numbers in turn; what ends is less than what continues, except with a tilde."""
    found: list[object] = []
    for letters, digits in _PART.findall(text):
        found += [(*map(_weight, letters), 0), int(digits or 0)]
    return tuple(found)


def _weight(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isalpha() else ord(letter) + 256
