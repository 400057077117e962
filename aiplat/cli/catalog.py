"""The `aiplat catalog` verb: tables of planes, components, models; what they mean is aiplat.catalog's."""

from __future__ import annotations

import typer
from rich.markup import escape
from rich.table import Table

from aiplat.actions.catalog import catalog_document, model_catalog
from aiplat.catalog.catalog import Catalog, load_catalog
from aiplat.catalog.components import CatalogModel, Component, Plane
from aiplat.catalog.inputs import source_digest
from aiplat.cli.arguments import JsonOption
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console

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
def models(as_json: JsonOption = False) -> None:
    """Show the models that a site can serve, with their real conditions of use."""
    known = load_catalog()
    if as_json:
        print_json(model_catalog(known).model_dump(mode="json"))
        return
    console = Console(highlight=False, soft_wrap=True)
    for component, model in known.models:
        _print_model(console, component, model)


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


def _print_model(console: Console, component: Component, model: CatalogModel) -> None:
    names = " = ".join((model.name, *model.aliases))
    console.print(f"[bold]{escape(names)}[/bold]  engine {component.name}")
    console.print(f"  {model.purpose}", markup=False)
    facts = (
        ("family", model.family),
        ("parameters", model.parameters),
        ("quantisation", model.quantisation),
        ("context", f"{model.context_length} tokens" if model.context_length else ""),
        ("features", ", ".join(model.features)),
        ("licence", " ".join(t for t in (model.licence.name or model.licence.spdx, model.licence.url) if t)),
        ("source", source_digest(model.artifact)),
    )
    for name, value in facts:
        if value:
            console.print(f"  {name:13} {value}", markup=False)
    for condition in model.licence.conditions:
        console.print(f"  {'':13} - {condition}", markup=False)
