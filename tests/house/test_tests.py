"""Tests keep the rules that make them worth running."""

from __future__ import annotations

import ast
import re

from tests.house.tree import files, text

SKIPS = re.compile(r"mark\.(skip|skipif|xfail)\b|pytest\.(skip|xfail)\(|importorskip")


def test_no_test_is_skipped() -> None:
    """A test that does not run proves nothing; what needs hosts has the mark lab."""
    names = [name for name in files("tests/*.py") if name != "tests/house/test_tests.py"]
    assert [name for name in names if SKIPS.search(text(name))] == []


def test_every_test_says_what_it_shows() -> None:
    """Each test function has a sentence."""
    silent = [
        f"{name}:{node.lineno} {node.name}"
        for name in files("tests/*/test_*.py", "tests/test_*.py")
        for node in ast.walk(ast.parse(text(name)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []
