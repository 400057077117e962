"""What an engine is stands in its component.yaml alone."""

from __future__ import annotations

import re

from aiplat.catalog.catalog import load_catalog
from tests.house.tree import files, lines


def test_no_engine_is_named_in_python() -> None:
    """A new engine is one folder: only the rules that compute what engines need know them by name."""
    names = "|".join(re.escape(component.name) for component in load_catalog().engines)
    literal = re.compile(rf"[\"']({names})[\"']|engine: ({names})\b")
    found = [
        f"{name}:{number}: {match[0]}"
        for name in files("aiplat/*.py")
        if not name.startswith("aiplat/fit/")
        for number, line in lines(name)
        for match in literal.finditer(line)
    ]
    assert names
    assert found == []
