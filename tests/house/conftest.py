"""Prints the house's measures at the end of a run, so that growth is seen before it hits a hard stop."""

from __future__ import annotations

from statistics import median, quantiles

import pytest

from tests.house.tree import files, functions, lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add two lines: how long functions and modules are."""
    lengths = {
        "functions of aiplat": [f.length for f in functions() if f.file.startswith("aiplat/")],
        "modules of aiplat": [len(list(lines(name))) for name in files("aiplat/*.py")],
        "task files": [len(list(lines(name))) for name in files("roles/*/tasks/*.yml")],
    }
    for what, found in lengths.items():
        if len(found) > 1:
            middle, high = median(found), quantiles(found, n=10)[-1]
            terminalreporter.write_line(
                f"house: {len(found)} {what}, lines: median {middle:g}, p90 {high:g}, longest {max(found)}"
            )
