"""The verbs `aiplat bundle split`, `join` and `diff`: arguments and tables; the work is aiplat.bundle's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from aiplat import API_VERSION
from aiplat.bundle.bundle import Bundle
from aiplat.bundle.difference import Difference, difference
from aiplat.bundle.parts.join import join_bundle
from aiplat.bundle.parts.split import list_parts, split_bundle
from aiplat.cli.arguments import JsonLinesOption, JsonOption
from aiplat.cli.bundle_choice import SiteOrBundle, chosen_bundle
from aiplat.cli.bundle_progress import short
from aiplat.cli.bytes_progress import bytes_progress
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, Finding

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_LEAST = 10**6
_MOST_PARTS = 10_000

_Size = Annotated[str, typer.Option("--size", metavar="SIZE", help="Bytes of a part: 4GB, 700MB, 4GiB.")]
_To = Annotated[
    list[Path], typer.Option("--to", metavar="FOLDER", help="Where the parts go; once for each medium.")
]
_Numbers = Annotated[
    str, typer.Option("--parts", metavar="FIRST-LAST", help="Only these parts now, such as 1-7 or 8-.")
]
_Base = Annotated[
    str | None,
    typer.Option("--base", metavar="BUNDLE", help="A bundle that is there already, or the site that has it."),
]
_Folders = Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Where parts are.")]
_Target = Annotated[Path, typer.Option("--to", metavar="PATH", help="The folder that becomes the bundle.")]


def register_parts(app: typer.Typer) -> None:
    """Add the verbs to `aiplat bundle`."""
    app.command()(split)
    app.command()(join)
    app.command()(diff)


def split(  # noqa: PLR0913, PLR0917 - what, how large, where to, against what
    to: _To,
    site: SiteOrBundle = None,
    size: _Size = "4GB",
    base: _Base = None,
    numbers: _Numbers = "",
    as_json: JsonLinesOption = False,
) -> None:
    """Cut a bundle into parts that fit on media, each part into the first --to that has room for it.

    The bundle is hashed first, and every folder gets parts.json, the list of all parts, and SHA256SUMS. With
    --base the parts hold only what that bundle has not: a differential bundle, which is joined with it. Cut
    off, the same command resumes. With one medium at a time, say --parts 1-7 for the first and --parts 8- for
    the second. `aiplat bundle join` puts the bundle together.
    """
    bundle = Bundle.open(chosen_bundle(site))
    earlier = Bundle.open(chosen_bundle(base)) if base is not None else None
    of_part = _bytes(size)
    with bytes_progress(as_json) as told:
        listed = list_parts(bundle, of_part, earlier, to, told)
        wanted = _numbers(numbers, len(listed.parts))
        result = split_bundle(bundle.path, listed, to, wanted, told)
    if as_json:
        rows = [
            {"name": p.name, "size": p.size, "sha256": p.sha256, "path": str(where)}
            for p in listed.parts
            if (where := {**result.written, **result.kept}.get(p.name))
        ]
        summary = {"apiVersion": API_VERSION, "kind": "Summary", "bundle": listed.bundle, "base": listed.base}
        print_json({**summary, "size": listed.size, "changed": len(result.written), "parts": rows})
        return
    console = Console(highlight=False, soft_wrap=True)
    for folder in to:
        count = sum(path.parent == folder for path in (*result.written.values(), *result.kept.values()))
        console.print(f"{folder}: {count} of {len(listed.parts)} parts", markup=False)
    console.print(
        f"{len(result.written)} parts written, {len(result.kept)} were there; "
        f"{listed.size / 1e6:.0f} MB in all; join them: aiplat bundle join FOLDER... --to PATH"
        f"{' --base BUNDLE' if listed.base else ''}",
        markup=False,
    )


def join(folders: _Folders, to: _Target, base: _Base = None, as_json: JsonLinesOption = False) -> None:
    """Put a bundle together from its parts, and with --base from the bundle that they were split against.

    What the folders have is taken and kept, and what is missing is named: with one medium at a time, run it
    once for each. Every file is compared with its digest; the result is the bundle byte for byte, with its
    signature. Cut off, the same command resumes.
    """
    earlier = Bundle.open(chosen_bundle(base)) if base is not None else None
    with bytes_progress(as_json) as told:
        joined = join_bundle(folders, to, earlier, told)
    if as_json:
        print_json({**joined.bundle.info(), "kind": "Summary", "changed": int(joined.taken > 0)})
        return
    document = joined.bundle.document
    said = f"{len(document.files)} files, {document.size / 1e6:.0f} MB, {joined.taken / 1e6:.0f} MB came now"
    Console(highlight=False, soft_wrap=True).print(f"{to}: whole, {said}", markup=False)


def diff(
    base: Annotated[str, typer.Argument(help="What is there already: a bundle's folder, or a site.")],
    new: Annotated[str, typer.Argument(help="What is to be there.")],
    as_json: JsonOption = False,
) -> None:
    """Show what the bundle NEW has that BASE has not: artifacts, their layers, and the bytes to carry.

    Both are a bundle's folder or a site. `aiplat bundle split NEW --base BASE` carries just that.
    """
    found = difference(Bundle.open(chosen_bundle(base)), Bundle.open(chosen_bundle(new)))
    if as_json:
        print_json(found.document())
        return
    _show(found, Console(highlight=False, soft_wrap=True))


def _show(found: Difference, console: Console) -> None:
    table = Table("component", "artifact", "", "version", "new layers", "to carry", box=None, pad_edge=False)
    for row in found.rows:
        if row.state == "same":
            continue
        version = " → ".join(dict.fromkeys(said for said in (row.before, row.after) if said))
        layers = f"{row.layers_new} of {row.layers}" if row.layers else ""
        carry = f"{row.carry / 1e6:.1f} MB" if row.carry else ""
        table.add_row(*map(Text, (row.component, short(row.artifact), row.state, version, layers, carry)))
    if table.row_count:
        console.print(table)
    for component, size in found.by_component().items():
        if size:
            console.print(f"{component}: {size / 1e6:.1f} MB", markup=False)
    same = sum(row.state == "same" for row in found.rows)
    whole = found.new.document.size / 1e6
    console.print(f"{found.carry / 1e6:.1f} of {whole:.1f} MB to carry; {same} artifacts are the same")


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]|[kmg]i)?b?", text.strip().lower())
    size = int(float(found[1]) * _UNITS[found[2] or ""]) if found else 0
    if size < _LEAST:
        raise BadInput(
            Finding("--size", f"{text} is not the size of a part", "write 4GB, 700MB or 4GiB; at least 1MB")
        )
    return size


def _numbers(text: str, count: int) -> range:
    """Return the numbers of parts that `3`, `1-7` or `8-` means; all where nothing is said."""
    if count > _MOST_PARTS:
        raise BadInput(Finding("--size", f"makes {count} parts", "say a larger one"))
    found = re.fullmatch(r"(\d+)(-(\d*))?", text.strip() or "1-")
    first = int(found[1]) if found else 0
    last = count if found and found[2] == "-" else int(found[3] or first) if found else 0
    if not 1 <= first <= last <= count:
        raise BadInput(Finding("--parts", f"{text} is not among the parts 1-{count}", "write FIRST-LAST"))
    return range(first, last + 1)
