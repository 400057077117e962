"""What `aiplat usage` prints; what was used is found out by aiplat.actions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from aiplat.actions.usage import Amounts, BudgetUse, SiteUsage, usage
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.site.find import find_site
from aiplat.site.load import load_site


def show_usage(argument: str | None, since: date | None, *, as_json: bool) -> None:
    """Print a site's usage."""
    found = usage(load_site(find_site(argument)), since)
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
    else:
        Console(highlight=False).print(usage_view(found))


def usage_view(found: SiteUsage) -> Group:
    """Return keys, then teams, those that used most first."""
    parts: list[Text | Table] = [Text(f"site {found.site}, since {found.since} (UTC)", style="bold")]
    keys, teams = _table("Key", "Name", "Team"), _table("Team")
    for key in sorted(found.keys, key=_most):
        keys.add_row(key.key, key.name, key.team, *_cells(key), _left(found.budgets, "key", key.key))
    for team in sorted(found.teams, key=_most):
        teams.add_row(team.team, *_cells(team), _left(found.budgets, "team", team.team))
    parts += [table for table in (keys, teams) if table.row_count]
    return Group(*parts if found.keys or found.teams else (*parts, Text("there are no keys yet")))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for name in ("Requests", "Failed", "Tokens in", "out", "Cost"):
        table.add_column(name, justify="right")
    table.add_column("Left", overflow="fold")
    return table


def _most(used: Amounts) -> int:
    return -(used.prompt_tokens + used.completion_tokens)


def _cells(used: Amounts) -> tuple[str, ...]:
    counts = (used.requests, used.failed, used.prompt_tokens, used.completion_tokens)
    return (*(f"{count:,}" for count in counts), used.cost)


def _left(budgets: Iterable[BudgetUse], scope: str, subject: str) -> str:
    mine = (b for b in budgets if (b.scope, b.subject) == (scope, subject))
    return "; ".join(f"{b.left} of {b.limit} {b.unit} until {b.until}" for b in mine)
