"""The page of journeys keeps the last result of each."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.e2e.record import PAGE, kept, row

DAY = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_result_replaces_the_former_one_of_its_name() -> None:
    """Other journeys stay, in the order of their names."""
    page = kept("head\n\n| a | b |\n|---|---|\n", row("walk", "1 of 2 tests passed", DAY))
    page = kept(page, row("another", "3 of 3 tests passed", DAY))
    page = kept(page, row("walk", "2 of 2 tests passed", DAY))
    lines = [line for line in page.splitlines() if line.startswith(("| walk", "| another"))]
    assert [line.split("|")[1:4] for line in lines] == [
        [" another ", " 2026-01-02 ", " 3 of 3 tests passed "],
        [" walk ", " 2026-01-02 ", " 2 of 2 tests passed "],
    ]


def test_the_page_is_in_the_form_that_results_are_kept_in() -> None:
    """A result finds its place in the page as it is."""
    assert "| walk |" in kept(PAGE.read_text(), row("walk", "0 of 0", DAY))
