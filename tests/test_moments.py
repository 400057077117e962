"""Moments as others write them are read alike everywhere: a moment in UTC, or a ValueError."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aiplat.moments import moment_at, moment_of

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["2030-01-31T12:00:00Z", "2030-01-31T14:00:00+02:00", "2030-01-31T12:00:00", "20300131T120000"],
)
def test_a_moment_is_read_with_its_zone_or_in_utc(text: str) -> None:
    """Never in the zone of the machine that reads."""
    assert moment_of(text) == NOON
    assert moment_of(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        "yesterday",
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-12:00",
        "10000-01-01T00:00:00Z",
    ],
)
def test_what_is_no_moment_is_a_value_error(text: object) -> None:
    """Also where Python's own reader would give a moment that has no place in UTC."""
    with pytest.raises(ValueError, match=r"."):
        moment_of(text)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1e30, 10**40, -62135596800, 253402300799])
def test_seconds_beyond_the_calendar_are_a_value_error(seconds: float) -> None:
    """Python's own raises three kinds of errors for them."""
    with pytest.raises(ValueError, match=r"."):
        moment_at(seconds)


def test_seconds_are_counted_from_1970() -> None:
    """In UTC."""
    assert moment_at(NOON.timestamp()) == NOON


def test_a_zone_can_be_demanded() -> None:
    """Where a text is kept and read elsewhere."""
    assert moment_of("2030-01-31T12:00:00Z", zoned=True) == NOON
    with pytest.raises(ValueError, match="without its zone"):
        moment_of("2030-01-31T12:00:00", zoned=True)
