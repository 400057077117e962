"""The checks that keys and teams share: names, models and rate limits; what they limit is the gateway's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from aiplat.errors import BadInput, Finding

_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
_RATES = ("requests_per_minute", "tokens_per_minute")
_LARGEST = 2**31 - 1


def refuse(findings: Iterable[Finding]) -> None:
    """Raise BadInput with every finding there is, if any."""
    found = list(findings)
    if found:
        raise BadInput(found)


def slug_findings(where: str, value: object) -> Iterator[Finding]:
    """Yield what is wrong with a name that stands in URLs and tables."""
    if not (isinstance(value, str) and _SLUG.fullmatch(value)):
        yield Finding(where, "is not a name", "use 1 to 63 of a-z, 0-9 and -, the - not at an end")


def limit_findings(fields: dict[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with `models` and the rates among `fields`."""
    for name in _RATES:
        value = fields.get(name)
        if value is not None and not (type(value) is int and 1 <= value <= _LARGEST):
            yield Finding(name, "must be a whole number from 1", "leave it out for no limit")
    for number, model in enumerate(fields.get("models", ())):
        if not (isinstance(model, str) and _PRINTABLE.fullmatch(model)):
            yield Finding(
                f"models[{number}]", "is not a model's name", "name a model, or the beginning of some and *"
            )


def printable(value: object, longest: int) -> bool:
    """Whether a text can stand in one line of a list."""
    return isinstance(value, str) and len(value) <= longest and bool(_PRINTABLE.fullmatch(value))
