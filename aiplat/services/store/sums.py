"""Sums that no number of rows makes overflow: SQLite ends a query whose sum does not fit into 64 bits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Label, RowMapping, func, literal_column

_BITS = 32


def halves(column: ColumnElement[Any], name: str) -> tuple[Label[Any], Label[Any]]:
    """Return two sums, of the upper and of the lower half of a whole number, for `summed` to put together."""
    upper, lower = column.op(">>")(literal_column(str(_BITS))), column.op("&")((1 << _BITS) - 1)
    return func.sum(upper).label(f"{name}_upper"), func.sum(lower).label(f"{name}_lower")


def summed(row: RowMapping | dict[str, Any], name: str) -> int:
    """Return the sum whose halves are in a row; 0 where nothing was summed."""
    return (int(row[f"{name}_upper"] or 0) << _BITS) + int(row[f"{name}_lower"] or 0)
