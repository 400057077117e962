"""Amounts as Kubernetes writes them (`500m`, `8Gi`), read and written for people; compares nothing."""

from __future__ import annotations

from decimal import Decimal

from kubernetes.utils import parse_quantity

_BINARY = ("Ki", "Mi", "Gi", "Ti")
_STEP = 1024


def amount(text: str | int | float) -> Decimal:
    """Return a quantity as a number: of cores, of bytes, of devices.

    Raises:
        ValueError: it is not a quantity.
    """
    number: Decimal = parse_quantity(str(text))
    return number


def plain(number: Decimal) -> str:
    """Return a count as people write it: `4`, `0.5`."""
    return f"{number.normalize():f}"


def in_bytes(number: Decimal) -> str:
    """Return bytes in the largest binary unit that keeps a whole digit, with at most one decimal: `7.6Gi`."""
    unit, value = "", number
    for larger in _BINARY:
        if value < _STEP:
            break
        unit, value = larger, value / _STEP
    return f"{plain(value.quantize(Decimal('0.1')))}{unit}"
