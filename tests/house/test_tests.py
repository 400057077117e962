"""Tests keep the rules that make them worth running."""

from __future__ import annotations

import ast
import re

from tests.house.tree import files, text

SKIPS = re.compile(r"mark\.(skip|skipif|xfail)\b|pytest\.(skip|xfail)\(|importorskip")
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns"}


def read_at_import(name: str) -> list[str]:
    """Return where a module asks a clock while it is imported: outside of functions and lambdas."""
    found, waiting = [], list(ast.iter_child_nodes(ast.parse(text(name))))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.decorator_list]
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            found.append(f"{name}:{node.lineno}")
        waiting += ast.iter_child_nodes(node)
    return found


def test_no_test_takes_the_time_of_its_import_for_now() -> None:
    """Modules are read minutes before their tests run: what was a minute ago then is old by now."""
    assert [place for name in files("tests/*.py") for place in read_at_import(name)] == []


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
