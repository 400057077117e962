"""Rules about numbers with a unit or a range in components' values; what they mean is the chart's."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from aiplat.site.document import YamlDocument
from aiplat.site.findings import Path, SiteFinding, shown
from aiplat.site.known import Known

_QUANTITY = re.compile(
    r"(?P<number>[0-9]+(\.[0-9]*)?|\.[0-9]+)(?P<unit>[KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?"
)
_POWERS = (-3, -2, -1, 1, 2, 3, 4, 5, 6)
_UNITS = {
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in zip(_POWERS, "numkMGTPE", strict=True)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}
_SIZES = frozenset({"storage", "size", "storageSize"})


def bad_quantity(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Requests, limits and storage sizes are quantities as Kubernetes writes them, of a possible amount."""
    for path, value in _quantities(document):
        complaint = _complaint(str(path[-1]), value)
        if complaint:
            yield document.finding(path, *complaint)


def request_over_limit(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """No resource is requested beyond its own limit."""
    for path, value in _quantities(document):
        limit = document.at(*path[:-2], "limits", path[-1])
        amount, most = parse_quantity(value), parse_quantity(limit)
        if path[-2] == "requests" and amount is not None and most is not None and amount > most:
            problem = f"requests {value}, more than its limit of {limit}"
            yield document.finding(path, problem, "raise the limit or lower the request")


def bad_port_value(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A number under `port` or a key ending in `Port` is a TCP port, 1 to 65535."""
    for path, value in _values(document):
        key = str(path[-1])
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if is_number and (key == "port" or key.endswith("Port")) and not 1 <= value <= 65535:
            yield document.finding(path, f"{value} is not a port", "ports are 1 to 65535")


def bad_number(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A number is one that JSON, which carries values to charts, can express: not infinite, not NaN."""
    for path, value in _values(document):
        if isinstance(value, float) and not math.isfinite(value):
            yield document.finding(path, f"{value} is not a number that a chart can get", "write a number")


def parse_quantity(value: Any) -> Decimal | None:
    """Return the amount of a quantity in its base unit (cores, bytes), or None where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    match = _QUANTITY.fullmatch(str(value))
    if not match:
        return None
    unit = match["unit"] or ""
    if unit in _UNITS:
        return Decimal(match["number"]) * _UNITS[unit]
    return Decimal(match["number"]).scaleb(int(unit[1:]))


def _complaint(resource: str, value: Any) -> tuple[str, str] | None:
    """Return what is wrong with an amount of a resource, and what to write instead."""
    amount = parse_quantity(value)
    if amount is None:
        return f"{shown(value)} is not a quantity", _better(str(value))
    if resource == "cpu":
        too_many = amount > 4096 or str(value).endswith("i")
        return (f"{shown(value)} is not a number of CPUs", "write e.g. 2 or 500m") if too_many else None
    if "/" in resource and amount != amount.to_integral_value():
        return f"{shown(value)} is not a whole number", "devices cannot be divided here"
    if str(value).endswith(("m", "u", "n")):
        digits = str(value)[:-1]
        return f"{shown(value)} is a fraction of a byte", f"did you mean {digits}Mi?"
    return None


def _better(value: str) -> str:
    """Return the quantity that was probably meant, or how one is written."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*([kKmMgGtTpP])(i?)[bB]?\s*", value)
    if match:
        return f"did you mean {match[1]}{match[2].upper()}i?"
    return "write e.g. 500m, 2, 512Mi or 10Gi"


def _values(document: YamlDocument) -> Iterator[tuple[Path, Any]]:
    """Yield everything below the `values` of a component."""
    for path, value in document.walk():
        if len(path) > 4 and path[0] == "planes" and path[3] == "values":
            yield path, value


def _quantities(document: YamlDocument) -> Iterator[tuple[Path, Any]]:
    """Yield what must be a quantity: entries of requests and limits, and sizes that begin like a number."""
    for path, value in _values(document):
        in_resources = path[-2] in ("requests", "limits")
        looks_like_size = path[-1] in _SIZES and re.match(r"-?[0-9.]", str(value)) is not None
        if (in_resources or looks_like_size) and value is not None and not isinstance(value, dict | list):
            yield path, value
