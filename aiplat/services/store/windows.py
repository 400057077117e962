"""The days and months that budgets count in, by UTC; what was used in them is in usage."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

Period = Literal["day", "month"]


def window_start(period: Period, now: datetime) -> date:
    """Return the first day of the window that `now` lies in."""
    day = now.astimezone(UTC).date()
    return day if period == "day" else day.replace(day=1)


def window_end(period: Period, start: date) -> date:
    """Return the first day after a window."""
    if period == "day":
        return start + timedelta(days=1)
    return (start.replace(day=1) + timedelta(days=32)).replace(day=1)


def seconds_left(period: Period, now: datetime) -> int:
    """Return the seconds until the window that `now` lies in ends, at least 1."""
    end = datetime.combine(window_end(period, window_start(period, now)), time(), UTC)
    return max(1, int((end - now).total_seconds()) + 1)
