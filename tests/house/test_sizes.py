"""Hard stops on size: what is longer is surely two things."""

from __future__ import annotations

from tests.house.tree import ROOT, files, functions, lines, tracked

MAX_FUNCTION = 60
MAX_MODULE = 400
MAX_BYTES = 500_000


def test_no_function_is_longer_than_the_hard_stop() -> None:
    """A function of more than 60 lines is split."""
    long = [f"{f.file}:{f.line} {f.name}: {f.length}" for f in functions() if f.length > MAX_FUNCTION]
    assert long == []


def test_no_module_is_longer_than_the_hard_stop() -> None:
    """A module, task file or template of more than 400 lines is split."""
    names = files("*.py", "*.go", "roles/*.yml", "playbooks/*.yml", "charts/*.yaml", "charts/*.tpl", "*.j2")
    counted = {name: len(list(lines(name))) for name in names}
    assert {name: count for name, count in counted.items() if count > MAX_MODULE} == {}


def test_no_file_is_large() -> None:
    """Content belongs in a bundle, not in git."""
    assert [name for name in tracked() if (ROOT / name).stat().st_size > MAX_BYTES] == []
