"""The verbs `aiplat bundle models` and `card`: tables and text; cards are read by aiplat.bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.cards import ModelCard, cards_document, read_cards
from aiplat.cli.arguments import JsonOption
from aiplat.cli.bundle_choice import SiteOrBundle, chosen_bundle
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, Finding
from aiplat.site.findings import did_you_mean

_ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A model of the bundle by its name.")]
_EngineOption = Annotated[str, typer.Option(help="The engine, where several serve a model of this name.")]


def register_models(app: typer.Typer) -> None:
    """Add the verbs to `aiplat bundle`."""
    app.command()(models)
    app.command()(card)


def models(site: SiteOrBundle = None, as_json: JsonOption = False) -> None:
    """List the models in the bundle: licence, quantisation, context, and what the scan of each said."""
    path = chosen_bundle(site)
    cards = _cards(path)
    if as_json:
        print_json(cards_document(path, cards))
        return
    table = Table("model", "engine", "licence", "form", "context", "size", "scan", box=None, pad_edge=False)
    for one in cards:
        row = (one.name, one.engine, _licence(one), one.quantisation, str(one.context_length or ""))
        table.add_row(*map(Text, row), f"{one.size / 1e6:.0f} MB", Text(_scan(one)))
    Console(highlight=False).print(table)


def card(
    model: _ModelArgument, site: SiteOrBundle = None, engine: _EngineOption = "", as_json: JsonOption = False
) -> None:
    """Show the card of one model: source, licence with its conditions, digest, shape, files, scan.

    The README.md that lies beside weights of the site's own follows as it is.
    """
    path = chosen_bundle(site)
    cards = _cards(path)
    found = [one for one in cards if one.name == model and engine in {"", one.engine}]
    if not found:
        hint = did_you_mean(model, {one.name for one in cards}, "the bundle has")
        raise BadInput(Finding(f"model {model}", "is not in the bundle", hint))
    if as_json:
        print_json(cards_document(path, found))
        return
    for one in found:
        _show(one)


def _cards(path: Path) -> list[ModelCard]:
    cards = read_cards(path)
    if not cards and Bundle.open(path).lock.of("model"):
        problem = "has models and no cards: it was made before there were any"
        raise BadInput(Finding(str(path), problem, "make it again: aiplat bundle build"))
    return cards


def _licence(one: ModelCard) -> str:
    return one.licence.name or one.licence.spdx


def _scan(one: ModelCard) -> str:
    pickles = f", {one.scan.pickles} pickles" if one.scan.pickles else ""
    day = f", {one.scan.date}" if one.scan.date else ""
    return f"nothing found, {one.scan.scanner} {one.scan.version}{day}{pickles}"


def _show(one: ModelCard) -> None:
    context = f"{one.context_length} tokens" if one.context_length else ""
    rows = (
        ("model", f"{one.name} on {one.engine}"),
        ("source", one.source),
        ("revision", one.revision),
        ("image", f"{one.reference}@{one.digest}"),
        ("content", one.content or ""),
        ("size", f"{one.size / 1e6:.1f} MB"),
        ("architecture", " ".join(part for part in (one.architecture, one.parameters) if part)),
        ("quantisation", one.quantisation),
        ("context", context),
        ("features", ", ".join(one.features)),
        ("licence", " ".join(part for part in (_licence(one), one.licence.url) if part)),
        ("scan", f"{_scan(one)}; allowed: {', '.join(one.scan.formats)}"),
    )
    conditions = one.licence.conditions or (_unknown(one),)
    files = (f"{file.name}, {file.size} bytes, {file.format}" for file in one.scan.files)
    console = Console(highlight=False, soft_wrap=True)
    for name, text in (*rows, *(("condition", c) for c in conditions), *(("file", f) for f in files)):
        if text:
            console.print(f"{name:13} {text}", markup=False)
    if one.readme:
        # Whoever wrote it may have put anything into it: control characters do nothing.
        shown = "".join(c for c in one.readme if c.isprintable() or c == "\n")
        console.print(f"\nREADME.md\n\n{shown}", markup=False)


def _unknown(one: ModelCard) -> str:
    spdx = one.licence.spdx
    free = {"Apache-2.0", "MIT"}
    return (
        "Keep its notices." if spdx in free else f"{spdx} is not known here: read it before you pass it on."
    )
