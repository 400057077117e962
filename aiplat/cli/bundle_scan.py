"""What scans found in a bundle, as a table and as a document; scanning itself is done elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from aiplat import API_VERSION
from aiplat.bundle.advisories import Advisories, Vulnerable, read_advisories, vulnerable
from aiplat.bundle.bundle import Bundle
from aiplat.bundle.cards import ModelCard, read_cards
from aiplat.bundle.contents.read import Contents
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import EXIT_CHECK_FAILED


def show_scan(bundle: Bundle, contents: list[Contents], folder: Path | None, *, as_json: bool) -> None:
    """Print what was found in models and packages; exit with 3 if an advisory names a package."""
    cards = read_cards(bundle.path)
    advisories = _read(folder)
    found, problems = vulnerable(contents, advisories) if advisories else ([], [])
    if advisories:
        problems += _not_compared(contents)
        problems += [f"not read, it is larger than any advisory: {name}" for name in advisories.too_large]
    if as_json:
        print_json(_document(bundle, cards, advisories, found, problems))
    else:
        _show(bundle, cards, advisories, found, problems)
    if found:
        raise typer.Exit(EXIT_CHECK_FAILED)


def _read(folder: Path | None) -> Advisories | None:
    if folder is None:
        return None
    with Console(stderr=True).status("read the advisories"):
        return read_advisories(folder)


def _not_compared(contents: list[Contents]) -> list[str]:
    """Return what no advisory can be about, as sentences: what has no package URL, and what nobody read."""
    packages = [package for one in contents for package in one.packages]
    counts = {
        "programs that no package owns": sum(one.kind == "file" for one in packages),
        "RPM packages": sum(one.kind == "rpm" for one in packages),
        "Debian packages of a release that is not said": sum(
            one.kind == "deb" and "-" not in one.system for one in packages
        ),
    }
    said = [f"not compared: {count} {what}" for what, count in counts.items() if count]
    return said + [f"not compared: {one.artifact.label}: {text}" for one in contents for text in one.unread]


def _document(
    bundle: Bundle,
    cards: list[ModelCard],
    advisories: Advisories | None,
    found: list[Vulnerable],
    problems: list[str],
) -> dict[str, Any]:
    models = [
        {
            "model": card.name,
            "engine": card.engine,
            "digest": card.digest,
            "scan": card.scan.model_dump(mode="json"),
        }
        for card in cards
    ]
    database = advisories and {
        "newest": advisories.newest,
        "advisories": len(advisories.known),
        "ecosystems": sorted(advisories.ecosystems),
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "BundleScan",
        "path": str(bundle.path),
        "lockDigest": bundle.document.lock_digest,
        "models": models,
        "database": database,
        "vulnerable": [_row(one) for one in found],
        "notCompared": problems,
    }


def _row(one: Vulnerable) -> dict[str, Any]:
    package, advisory = one.package, one.advisory
    return {
        "advisory": advisory.name,
        "aliases": list(advisory.aliases),
        "severity": advisory.severity,
        "summary": advisory.summary,
        "package": str(package.purl),
        "version": package.version,
        "fixed": one.fixed,
        "in": list(one.found_in),
    }


def _show(
    bundle: Bundle,
    cards: list[ModelCard],
    advisories: Advisories | None,
    found: list[Vulnerable],
    problems: list[str],
) -> None:
    console = Console(highlight=False)
    table = Table("what", "version", "found", "fixed in", "where", box=None, pad_edge=False)
    for card in cards:
        scan = f"nothing, in {len(card.scan.files)} files ({card.scan.scanner} {card.scan.version})"
        table.add_row(*map(Text, (f"model {card.name}", card.revision[:19], scan, "", card.engine)))
    for one in found:
        cells = (one.package.name, one.package.version, _said(one), one.fixed or "no version", _places(one))
        table.add_row(*map(Text, cells))
    if table.row_count:
        console.print(table)
    for text in problems:
        console.print(text, markup=False)
    console.print(_sum(bundle, cards, advisories, found), markup=False)


def _said(one: Vulnerable) -> str:
    names = ", ".join((one.advisory.name, *one.advisory.aliases))
    return " ".join(part for part in (names, one.advisory.severity) if part)


def _places(one: Vulnerable) -> str:
    more = len(one.found_in) - 1
    return f"{one.found_in[0]}{f' and {more} more' if more else ''}"


def _sum(
    bundle: Bundle, cards: list[ModelCard], advisories: Advisories | None, found: list[Vulnerable]
) -> str:
    models = f"{bundle.path}: {len(cards)} models scanned when the bundle was made"
    if advisories is None:
        return f"{models}; packages were not compared with advisories: --advisories FOLDER"
    day = advisories.newest[:10] or "an unknown day"
    ecosystems = ", ".join(sorted(advisories.ecosystems))
    return (
        f"{models}; {len(found)} packages named by {len(advisories.known)} advisories of {day} ({ecosystems})"
    )
