"""The page about k3s' behaviours names tests that are there."""

from __future__ import annotations

import re

from aiplat.shipped import shipped

PAGE = shipped("roles").parent / "docs/reference/kubernetes.md"
NAMED = re.compile(r"`([a-z0-9_]+/[a-z0-9_/]+\.(?:py|yaml))`")


def test_every_behaviour_has_a_test_that_exists() -> None:
    """A row without one, or with one that was renamed, is a claim that nobody holds."""
    table = PAGE.read_text().split("## What network")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 18
    for row in rows:
        named = NAMED.findall(row)
        assert named, row
        assert all((PAGE.parents[2] / "tests" / name).exists() for name in named), row
