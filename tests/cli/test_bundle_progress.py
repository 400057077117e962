"""How far bytes are that come is said with their pace and the time that is left."""

from __future__ import annotations

from aiplat.cli.bundle_progress import Rate


def test_the_pace_is_that_of_the_last_seconds() -> None:
    """A slow beginning does not count for ever, and nothing is said before a second has passed."""
    now = [0.0]
    rate = Rate(lambda: now[0])
    assert rate.saw(0, 200_000_000) == ""
    now[0] = 20.0
    assert rate.saw(1_000_000, 200_000_000) == ""
    now[0] = 25.0
    assert rate.saw(101_000_000, 200_000_000) == "20.0 MB/s, 5 s left"


def test_bytes_that_begin_anew_have_a_pace_of_their_own() -> None:
    """What was fetched before does not make the next try slow."""
    now = [0.0]
    rate = Rate(lambda: now[0])
    rate.saw(50_000_000, 100_000_000)
    now[0] = 2.0
    assert rate.saw(0, 100_000_000) == ""
    now[0] = 4.0
    assert rate.saw(20_000_000, 100_000_000) == "10.0 MB/s, 8 s left"
