"""Moments as others write them, brought to UTC: what is none, or lies where a calendar ends, is a ValueError.

Python's own readers also raise OverflowError and OSError, and take a text without a zone for the zone of this
machine: whoever reads what came from outside would have to know all of that.
"""

from __future__ import annotations

from datetime import UTC, datetime

_YEARS = range(2, 9999)
"""A zone ahead of UTC, or behind it, must not push the first or last hours of the calendar out of it."""


def moment_of(text: object, *, zoned: bool = False) -> datetime:
    """Return the moment that a text says as ISO 8601 has it; without a zone it is in UTC, or none if `zoned`.

    Raises:
        ValueError: it says none, or one that no calendar of ours has.
    """
    read = datetime.fromisoformat(str(text))
    if zoned and read.tzinfo is None:
        raise ValueError("a time without its zone")
    return reached(read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)


def moment_at(seconds: float) -> datetime:
    """Return the moment so many seconds after the beginning of 1970, in UTC.

    Raises:
        ValueError: no calendar of ours has it.
    """
    try:
        return reached(datetime.fromtimestamp(seconds, UTC))
    except (OverflowError, OSError) as error:
        raise ValueError(f"{seconds} seconds are beyond the calendar") from error


def reached(moment: datetime) -> datetime:
    """Return a moment unless it lies where a calendar ends.

    Raises:
        ValueError: it does.
    """
    if moment.year not in _YEARS:
        raise ValueError(f"expected a year between {_YEARS[0]} and {_YEARS[-1]}")
    return moment
