"""Amounts as Kubernetes writes them and as people say them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aiplat.cluster.quantity import amount, in_bytes, plain


@pytest.mark.parametrize(
    ("text", "number"),
    [("4", "4"), (4, "4"), ("500m", "0.5"), ("8Gi", str(8 << 30)), ("1k", "1000"), ("1.5Ki", "1536")],
)
def test_a_quantity_is_a_number(text: str | int, number: str) -> None:
    """Binary, decimal and milli units; a bare number as YAML has it."""
    assert amount(text) == Decimal(number)


def test_a_text_that_is_no_quantity_is_an_error() -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="lots"):
        amount("lots")


@pytest.mark.parametrize(
    ("text", "said"), [("8Gi", "8Gi"), ("8125000Ki", "7.7Gi"), ("512", "512"), ("768Mi", "768Mi")]
)
def test_bytes_are_said_in_the_largest_unit(text: str, said: str) -> None:
    """With at most one decimal."""
    assert in_bytes(amount(text)) == said


def test_a_count_is_said_plainly() -> None:
    """No exponent, no needless zeros."""
    assert [plain(Decimal(n)) for n in ("100", "0.50", "2.0")] == ["100", "0.5", "2"]
