"""Reference pages say what the program does now."""

from __future__ import annotations

import runpy

import pytest

from tests.house.tree import ROOT

PAGES: dict[str, str] = runpy.run_path(str(ROOT / "docs" / "reference" / "generate.py"))["pages"]()


@pytest.mark.parametrize("name", PAGES)
def test_a_reference_page_is_current(name: str) -> None:
    """A change of models or rules comes with its page: run docs/reference/generate.py."""
    assert (ROOT / "docs" / "reference" / name).read_text() == PAGES[name]
