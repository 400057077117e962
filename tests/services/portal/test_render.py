"""What stands in documents as the portal's pages show it."""

from __future__ import annotations

import pytest

from aiplat.services.portal.render import clock


def test_a_moment_is_shown_in_utc_to_the_second() -> None:
    """Whatever zone it was written in."""
    assert clock("2030-01-31T14:00:00.5+02:00") == "2030-01-31 12:00:00 UTC"


@pytest.mark.parametrize("text", ["soon", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_what_is_no_moment_is_shown_as_it_stands(text: str) -> None:
    """A year at the calendar's end would lie outside of it in UTC."""
    assert clock(text) == text
