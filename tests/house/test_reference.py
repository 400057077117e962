"""Reference pages say what the program does now."""

from __future__ import annotations

import runpy

import pytest

from tests.house.tree import ROOT

PAGES: dict[str, str] = runpy.run_path(str(ROOT / "docs" / "reference" / "generate.py"))["pages"]()


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_current(name: str) -> None:
    """A change of models, rules or verbs comes with its page."""
    path = ROOT / "docs" / "reference" / name
    current = path.exists() and path.read_text() == PAGES[name]
    assert current, f"docs/reference/{name} is behind: run .venv/bin/python docs/reference/generate.py"
