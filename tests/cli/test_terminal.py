"""What reaches a terminal: visible characters, whoever wrote the text."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.table import Table

from aiplat.cli.terminal import Console


@pytest.mark.parametrize("text", ["\x1b[2J\x1b[1;1Hwhole", "a\x07b", "a\x9b31mb", "a\rb", "\u202eevil"])
def test_control_characters_are_written_out(text: str) -> None:
    """In a line, in a table, and with colours on."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=None, width=80)
    table = Table()
    table.add_column("name")
    table.add_row(text)
    console.print(text, markup=False)
    console.print(table)
    said = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert all(c.isprintable() or c == "\n" for c in said)


def test_every_verb_prints_on_this_console() -> None:
    """No module of the command line makes one of rich's own."""
    folder = Path(__file__).parents[2] / "aiplat" / "cli"
    own = re.compile(r"from rich\.console import [^\n]*\bConsole\b")
    assert [p.name for p in folder.glob("*.py") if own.search(p.read_text())] == []
