"""Money as whole billionths of the site's currency, so that sums are exact; other units likewise."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

NANO = 1_000_000_000
# What a BIGINT holds.
_LARGEST = 2**63 - 1


def nano(amount: Decimal) -> int:
    """Return an amount of money in billionths, rounded half up."""
    return int((amount * NANO).quantize(Decimal(1), ROUND_HALF_UP))


def money(billionths: int) -> Decimal:
    """Return billionths as an amount of money."""
    return Decimal(billionths) / NANO


def whole(amount: Decimal, unit: str) -> int:
    """Return a budget's amount as kept: tokens and requests as they are, money in billionths.

    Raises:
        ValueError: it is negative, too large, or a fraction of a token or request.
    """
    largest = _LARGEST // NANO if unit == "money" else _LARGEST
    if not amount.is_finite() or not 0 <= amount <= largest:
        raise ValueError(f"must be between 0 and {largest}")
    if unit != "money" and amount != amount.to_integral_value():
        raise ValueError("must be a whole number")
    return nano(amount) if unit == "money" else int(amount)


def shown(amount: int, unit: str) -> Decimal:
    """Return an amount as kept in its unit."""
    return money(amount) if unit == "money" else Decimal(amount)


def amount(number: Decimal) -> str:
    """Return an amount as plain digits, without the exponent that Decimal likes."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
