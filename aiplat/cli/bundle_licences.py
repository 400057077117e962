"""A licence report as a table, for a spreadsheet and as a document; its lines are aiplat.bundle's."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.licences import GROUPS, Group, LicenceLine
from aiplat.cli.terminal import Console

_COLUMNS = ("group", "kind", "name", "version", "licences", "spdx", "conditions", "url", "in")
# Of these a count says enough on a screen.
_COUNTED: tuple[Group, ...] = ("copyleft", "limited copyleft", "notices")
_MOST_PLACES = 3


def show_licences(lines: list[LicenceLine], unread: list[str]) -> None:
    """Print the groups in which something is to be read line by line, and count the rest."""
    console = Console(highlight=False)
    for group, title in GROUPS.items():
        members = [line for line in lines if line.group == group]
        if not members:
            continue
        console.print(f"{group}: {len(members)}, {title}", style="bold", markup=False)
        if group not in _COUNTED:
            console.print(_table(members))
        for name, count in Counter(line.kind for line in _folded(members)).items():
            console.print(f"  and {count} of kind {name}", markup=False)
    for text in unread:
        console.print(f"not read: {text}", markup=False)
    console.print("every line: --csv, --markdown or --json")


def _folded(members: list[LicenceLine]) -> list[LicenceLine]:
    """Return those that are counted: whole groups, and Go's modules, which never say a licence."""
    return [line for line in members if line.group in _COUNTED or _is_module(line)]


def _is_module(line: LicenceLine) -> bool:
    return line.group == "unknown" and line.kind == "golang"


def _table(members: list[LicenceLine]) -> Table:
    table = Table("  kind", "name", "version", "licence", "in", box=None, pad_edge=False)
    for line in members:
        if not _is_module(line):
            cells = (line.kind, line.name, line.version, "; ".join(line.licences), _places(line))
            table.add_row(*(Text(cell) for cell in (f"  {cells[0]}", *cells[1:])))
            for condition in line.conditions:
                table.add_row("", "", "", Text(f"- {condition}"), "")
    return table


def _places(line: LicenceLine) -> str:
    shown = ", ".join(line.found_in[:_MOST_PLACES])
    more = len(line.found_in) - _MOST_PLACES
    return f"{shown} and {more} more" if more > 0 else shown


def as_csv_text(lines: list[LicenceLine]) -> str:
    """Return the report for a spreadsheet: a line each, several values separated by semicolons."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_inert(_row(line)) for line in lines)
    return text.getvalue()


def _row(line: LicenceLine) -> tuple[str, ...]:
    said = "; ".join(line.licences) or "unknown"
    spdx = "yes" if line.spdx else "no"
    conditions, places = " ".join(line.conditions), "; ".join(line.found_in)
    return (line.group, line.kind, line.name, line.version, said, spdx, conditions, line.url, places)


def _inert(cells: tuple[str, ...]) -> list[str]:
    """Return cells that no spreadsheet takes for a formula: names and licences are words of others."""
    shown = ("".join(c for c in cell if c.isprintable()) for cell in cells)
    return [f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell for cell in shown]


def as_markdown_text(bundle: Bundle, lines: list[LicenceLine], unread: list[str]) -> str:
    """Return the report as a document with a table for each group."""
    return "\n".join(_markdown(bundle, lines, unread)) + "\n"


def _markdown(bundle: Bundle, lines: list[LicenceLine], unread: list[str]) -> Iterator[str]:
    yield f"# Licences in the bundle of {bundle.lock.site}"
    yield f"\nLock: `{bundle.document.lock_digest}`"
    for group, title in GROUPS.items():
        members = [line for line in lines if line.group == group]
        if members:
            yield f"\n## {group.capitalize()}: {len(members)}, {title}\n"
            yield "| kind | name | version | licence | conditions | in |"
            yield "|---|---|---|---|---|---|"
            yield from (_markdown_row(line) for line in members)
    if unread:
        yield "\n## Not read\n"
        yield from (f"- {_plain(text)}" for text in unread)


def _markdown_row(line: LicenceLine) -> str:
    _, kind, name, version, said, _, conditions, _, places = _row(line)
    return "| " + " | ".join(map(_plain, (kind, name, version, said, conditions, places))) + " |"


def _plain(cell: str) -> str:
    """Return words of others as Markdown shows them, without being Markdown."""
    shown = "".join(c for c in cell if c.isprintable())
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in shown)
