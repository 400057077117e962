"""What the `aiplat model` verbs print; what is true is found out by aiplat.actions."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

import typer
from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from ruamel.yaml import YAML

from aiplat.actions.model import (
    ModelOrder,
    declare,
    find_model,
    follow,
    list_models,
    manifest_of,
    take_away,
)
from aiplat.actions.model_use import expose, pull
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.cluster.declared import DeclaredModel
from aiplat.errors import AiplatError, BadInput, Finding
from aiplat.site.find import find_site
from aiplat.site.load import load_site
from aiplat.site.models import Site

_STYLE = {"Serving": "green", "Idle": "dim", "Refused": "bold red", "Failing": "bold red"}


@dataclass(frozen=True)
class Waiting:
    """Whether to wait for a result, and for how many seconds."""

    wanted: bool
    seconds: float


def _site(argument: str | None) -> Site:
    return load_site(find_site(argument))


def show_list(argument: str | None, *, as_json: bool) -> None:
    """Print all Models of a site."""
    found = list_models(_site(argument))
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("Model", "Served as", "State", "Ready", ""):
        table.add_column(column, overflow="fold")
    for model in found.models:
        table.add_row(model.title, model.served_as, _state(model), model.ready, Text(model.message))
    Console(highlight=False).print(table if found.models else "no Models; declare one: aiplat model deploy")


def _state(model: DeclaredModel) -> Text:
    return Text(model.state or "unseen", style=_STYLE.get(model.state, "yellow"))


def deploy_model(
    argument: str | None, order: ModelOrder, waiting: Waiting, *, dry_run: bool, as_json: bool
) -> None:
    """Declare a model and report its progress standard error, how it ended on standard output.

    Raises:
        AiplatError: it was refused, or did not come up in time.
    """
    manifest = manifest_of(order)
    if dry_run:
        _print_manifest(manifest, as_json=as_json)
        return
    site = _site(argument)
    declare(site, manifest)
    name = manifest["metadata"]["name"]
    told = _follow(site, name, waiting.seconds) if waiting.wanted else find_model(site, name)
    if as_json:
        print_json(told.model_dump(mode="json", by_alias=True))
    elif told.state != "Refused":
        typer.echo(f"{told.title}: {told.state or 'declared'}: {told.message}")
    if told.state == "Refused":
        raise AiplatError(Finding(f"Model {told.title}", told.message))


def _print_manifest(manifest: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(manifest)
    else:
        YAML(typ="rt").dump(manifest, sys.stdout)


def _follow(site: Site, name: str, seconds: float) -> DeclaredModel:
    console = Console(stderr=True, highlight=False)
    told = None
    with console.status(f"Model {name}") as line:
        for told in follow(site, name, seconds):
            news = f"{told.title}: {told.state}: {told.message}"
            line.update(Text(news))
            if not console.is_terminal:
                console.print(news, markup=False, soft_wrap=True)
    if told is None:
        raise AiplatError(Finding(f"Model {name}", "is gone again"))
    return told


def expose_model(argument: str | None, name: str, *, as_json: bool) -> None:
    """Print where a model is reached and a line to try."""
    found = expose(_site(argument), name)
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
        return
    typer.echo(f"{found.model} is reached at {found.url} ({found.state}: {found.message})")
    typer.echo('to try it: eval "$(aiplat env)" and then')
    body = json.dumps({"model": found.model, "prompt": "1, 2, 3,", "max_tokens": 12})
    typer.echo(
        f'  curl {found.url}/completions -H "Authorization: Bearer $OPENAI_API_KEY" '
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def delete_model(argument: str | None, name: str, *, yes: bool, as_json: bool) -> None:
    """Take a Model away after asking."""
    site = _site(argument)
    model = find_model(site, name)
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput(
                Finding(f"Model {model.title}", "is deleted only when that is confirmed", "add --yes")
            )
        typer.confirm(f"Delete Model {model.title} and its engines?", abort=True, err=True)
    gone = take_away(site, name)
    if as_json:
        print_json({"kind": "Deleted", "namespace": gone.namespace, "name": gone.name})
    else:
        typer.echo(f"{gone.title}: deleted, nothing runs for it any more")


def pull_model(argument: str | None, name: str, seconds: float, *, as_json: bool) -> None:
    """Bring weights onto every node with a bar that counts nodes."""
    columns = (TextColumn("nodes"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        nodes = pull(
            _site(argument), name, lambda n, total: progress.update(task, completed=n, total=total), seconds
        )
    if as_json:
        print_json({"kind": "Pulled", "model": name, "nodes": nodes})
    else:
        typer.echo(f"{name}: on {nodes} {'node' if nodes == 1 else 'nodes'}")
