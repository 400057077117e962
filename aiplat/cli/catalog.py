"""The `aiplat catalog` verb: tables of planes, components, models; what they mean is aiplat.catalog's."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from aiplat.actions.catalog import ModelEntry, ModelOffers, catalog_document, model_catalog, model_offers
from aiplat.catalog.catalog import Catalog, load_catalog
from aiplat.catalog.components import Plane
from aiplat.cli.arguments import JsonOption
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, Finding
from aiplat.fit.placement import FITS, TIGHT
from aiplat.plan.model_offers import CONTEXT

DeviceOption = Annotated[
    list[str] | None, typer.Option(help="Show what fits on 'RTX 4090', '2x L4', 'cpu 64 GB'; once or more.")
]
EngineOption = Annotated[str, typer.Option(help="Show the models of one engine.")]

catalog_app = typer.Typer(
    invoke_without_command=True,
    help="""Show what a site can have: planes, their components and the models of the catalogue.

A component is `on` by default, or comes when a site asks for it (`request`), or is `later`: known, but not in
this version.
""",
)


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.add_typer(catalog_app, name="catalog")


@catalog_app.callback()
def catalog(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show planes and components: state, purpose, licence, and which supply can deliver each."""
    if context.invoked_subcommand is not None:
        return
    known = load_catalog()
    if as_json:
        # What is to come has a name and a purpose only.
        print_json(catalog_document(known).model_dump(mode="json", exclude_none=True))
        return
    console = Console(highlight=False)
    for plane in known.planes:
        title, purpose = escape(plane.title), escape(plane.purpose)
        console.print(f"[bold]{title}[/bold] [dim]({plane.name})  {purpose}[/dim]")
        console.print(_table(known, plane))


@catalog_app.command()
def models(  # noqa: PLR0913 - one option each is what a command line is
    *,
    device: DeviceOption = None,
    context: Annotated[int, typer.Option(min=256, help="Tokens of one request.")] = CONTEXT,
    parallel: Annotated[int, typer.Option(min=1, max=1024, help="Requests at once.")] = 1,
    engine: EngineOption = "",
    everything: Annotated[bool, typer.Option("--all", help="Also what does not fit, and why.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the models that a site can serve, with their real conditions of use.

    With --device only those that fit there, as a person would pick: first what fits comfortably and answers
    as fast as people read, models for anything before coders and embeddings, the largest first. Nothing is
    asked: the devices need not be there yet.
    """
    known = load_catalog()
    if engine and engine not in {c.name for c in known.engines}:
        names = ", ".join(c.name for c in known.engines)
        raise BadInput(Finding("--engine", f"{engine!r} is not an engine", f"use {names}"))
    if device:
        found = model_offers(known, tuple(device), context, parallel, engine)
        if as_json:
            print_json(found.model_dump(mode="json"))
        else:
            _print_offers(Console(highlight=False, soft_wrap=True), found, everything)
        return
    shown = model_catalog(known)
    entries = tuple(m for m in shown.models if engine in ("", m.engine))
    if as_json:
        print_json(shown.model_copy(update={"models": entries}).model_dump(mode="json"))
        return
    console = Console(highlight=False, soft_wrap=True)
    for entry in entries:
        _print_model(console, entry)
    for later in shown.later if not engine else ():
        names = " = ".join((later.name, *later.aliases))
        console.print(f"[bold]{escape(names)}[/bold]  not in this version")
        console.print(f"  {later.purpose}", markup=False)
        console.print(f"  {'needs':13} {later.needs}", markup=False)


def _print_offers(console: Console, found: ModelOffers, everything: bool) -> None:
    fitting = [m for m in found.models if m.verdict in (FITS, TIGHT)]
    others = [m for m in found.models if m.verdict not in (FITS, TIGHT)]
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "engine", "for", "size", "verdict"):
        table.add_column(heading, no_wrap=True)
    table.add_column("why", overflow="fold")
    for m in (*fitting, *others) if everything else fitting:
        size = f"{m.parameters} {m.quantisation}"
        table.add_row(*map(escape, (m.name, m.engine, m.suits, size, m.verdict, m.reason)))
    console.print(table)
    if others and not everything:
        console.print(f"{len(others)} more do not fit; --all says why")


def _table(known: Catalog, plane: Plane) -> Table:
    """Return the rows of one plane: what is there first, then what is to come."""
    table = Table(box=None, pad_edge=True, show_header=False)
    for width in (21, 7, 12, 8):  # the same for every plane, so that columns line up
        table.add_column(min_width=width)
    table.add_column(overflow="fold")
    for c in known.components_of(plane.name):
        supplies = ", ".join(c.supplies) or "-"
        table.add_row(c.name, c.default, escape(c.licence.spdx), supplies, escape(c.purpose))
    for p in known.planned(plane.name):
        table.add_row(p.name, "later", "", "", escape(p.purpose), style="dim")
    return table


def _print_model(console: Console, model: ModelEntry) -> None:
    names = " = ".join((model.name, *model.aliases))
    console.print(f"[bold]{escape(names)}[/bold]  engine {model.engine}")
    console.print(f"  {model.purpose}", markup=False)
    needs = model.memory
    told = f"{needs.total_gib} GiB with {needs.context} tokens, weights {needs.weights_gib}" if needs else ""
    facts = (
        ("family", model.family),
        ("parameters", model.parameters),
        ("quantisation", model.quantisation),
        ("context", f"{model.context_length} tokens" if model.context_length else ""),
        ("memory", told),
        ("features", ", ".join(model.features)),
        ("licence", " ".join(t for t in (model.licence.name or model.licence.spdx, model.licence.url) if t)),
        ("source", ", ".join(f"{place} ({supply})" for supply, place in model.source.items())),
        ("pinned", model.pinned),
    )
    for name, value in facts:
        if value:
            console.print(f"  {name:13} {value}", markup=False)
    for condition in model.licence.conditions:
        console.print(f"  {'':13} - {condition}", markup=False)
