"""A status on a terminal; what is true is found out by aiplat.actions.status."""

from __future__ import annotations

import typer
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aiplat.actions.status import PlaneState, State, Status, status
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import EXIT_FAILED
from aiplat.site.find import find_site
from aiplat.site.load import load_site

_MARK: dict[State, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "attention": ("attention", "bold red"),
    "unknown": ("unknown", "yellow"),
    "empty": ("empty", "dim"),
}
_WORST_FIRST: tuple[State, ...] = ("attention", "unknown", "ok", "empty")


def show_status(argument: str | None, *, as_json: bool) -> None:
    """Print a site's status, and exit with 1 where its cluster could not be asked."""
    found = status(load_site(find_site(argument)))
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
    else:
        Console(highlight=False).print(status_view(found))
    if not found.reached:
        raise typer.Exit(EXIT_FAILED)


def status_view(status: Status) -> RenderableType:
    """Return the whole status: attention, planes, hosts and models, and where things are."""
    parts: list[RenderableType] = [_headline(status), *_attention(status), _planes(status)]
    parts += [_hosts(status), _models(status)] if status.models else [_hosts(status)]
    return Group(*parts, Text(f"secrets: {status.vault}", style="dim"))


def _headline(status: Status) -> Text:
    known = f", Kubernetes {status.kubernetes}" if status.kubernetes else ""
    return Text(f"site {status.site}  {status.url}{known}", style="bold")


def _attention(status: Status) -> list[Text]:
    if not status.attention:
        return [Text("nothing needs attention", style="green")]
    return [Text(f"! {sentence}", style="red") for sentence in status.attention]


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _mark(state: State) -> Text:
    word, style = _MARK[state]
    return Text(word, style=style)


def _planes(status: Status) -> Table:
    table = _table("Plane", "State", "Component", "")
    for plane in sorted(status.planes, key=lambda p: _WORST_FIRST.index(p.state)):
        for row in _plane_rows(plane):
            table.add_row(*row)
    return table


def _plane_rows(plane: PlaneState) -> list[tuple[str | Text, ...]]:
    if not plane.components:
        return [(Text(plane.title, style="dim"), _mark("empty"), "", "")]
    ordered = sorted(plane.components, key=lambda c: _WORST_FIRST.index(c.state))
    return [
        (plane.title if number == 0 else "", _mark(c.state), c.name, Text(c.sentence))
        for number, c in enumerate(ordered)
    ]


def _hosts(status: Status) -> Table:
    table = _table("Host", "State", "Role", "Address", "")
    for host in sorted(status.hosts, key=lambda h: _WORST_FIRST.index(h.state)):
        table.add_row(host.name, _mark(host.state), host.role, host.address, Text(host.sentence))
    return table


def _models(status: Status) -> Table:
    table = _table("Model", "State", "Engine", "")
    for model in sorted(status.models, key=lambda m: _WORST_FIRST.index(m.state)):
        also = f" (also {', '.join(model.aliases)})" if model.aliases else ""
        table.add_row(Text(f"{model.name}{also}"), _mark(model.state), model.engine, Text(model.sentence))
    return table
