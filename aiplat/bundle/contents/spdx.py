"""Words that packages have for their licences, as SPDX expressions where that is certain."""

from __future__ import annotations

import re
from functools import lru_cache

from license_expression import ExpressionError, ExpressionParseError, Licensing, get_spdx_licensing

# Debian's short names and those of Python's distributions. One that leaves its version open is not here.
_NAMES = {
    "expat": "MIT",
    "mit license": "MIT",
    "the mit license": "MIT",
    "apache 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "bsd 3-clause": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "bsd-2": "BSD-2-Clause",
    "bsd 2-clause": "BSD-2-Clause",
    "isc license (iscl)": "ISC",
    "isc license": "ISC",
    "mpl 2.0": "MPL-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0-only",
    "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0-or-later",
    "gnu general public license v3 (gplv3)": "GPL-3.0-only",
    "the unlicense (unlicense)": "Unlicense",
    "bsl-1": "BSL-1.0",
    "psf-2": "PSF-2.0",
}
_GNU = re.compile(r"(A?GPL|LGPL|GFDL)(-NIV)?-([0-9])(?:\.([0-9]))?(?:\.0)*(\+?)", re.IGNORECASE)
_WORD = re.compile(r"[^\s()]+")
_JOINED = re.compile(r",?\s+(and|or|AND|OR)\s+")


@lru_cache(maxsize=1)
def _spdx() -> Licensing:
    """Return the list of SPDX, which takes a moment to read."""
    licensing: Licensing = get_spdx_licensing()
    return licensing


@lru_cache(maxsize=4096)
def spdx_expression(said: str) -> str:
    """Return the SPDX expression for words about a licence; "" where there is none for sure."""
    words = " ".join(said.split())
    if named := _NAMES.get(words.lower()):
        return named
    joined = _JOINED.sub(lambda found: f" {found[1].upper()} ", words)
    written = _WORD.sub(lambda found: _one(found[0]), joined)
    try:
        parsed = _spdx().parse(written, validate=True, strict=True)
    except (ExpressionError, ExpressionParseError):
        return ""
    return "" if parsed is None else str(parsed)


def spdx_names(expression: str) -> tuple[str, ...]:
    """Return the licences that an SPDX expression names, without their exceptions; () for other words."""
    if not spdx_expression(expression):
        return ()
    symbols = _spdx().license_symbols(expression, decompose=True, unique=True)
    return tuple(symbol.key for symbol in symbols if not symbol.is_exception)


def _one(word: str) -> str:
    if named := _NAMES.get(word.lower()):
        return named
    if not (found := _GNU.fullmatch(word)):
        return word
    family, no_invariants, major, minor, later = found.groups()
    free = "-no-invariants" if no_invariants else ""
    return f"{family.upper()}-{major}.{minor or 0}{free}-{'or-later' if later else 'only'}"


def licences_of(said: tuple[str, ...]) -> tuple[str, ...]:
    """Return each of a package's licences as an SPDX expression, or as it is said; no two are the same."""
    return tuple(sorted({spdx_expression(one) or one for one in said}))
