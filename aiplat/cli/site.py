"""The `aiplat site` verbs: check, show, schema, rules of a site file; judging it belongs in aiplat.site."""

from __future__ import annotations

import json
import sys
from collections.abc import Sized
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from aiplat.catalog.resolve import undeliverable
from aiplat.cli.arguments import JsonOption
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import EXIT_BAD_INPUT, BadInput, Finding
from aiplat.site.find import find_site
from aiplat.site.findings import SiteFinding
from aiplat.site.load import load_site
from aiplat.site.models import Site
from aiplat.site.rules import RULES
from aiplat.site.rules.existing import OF_EXISTING_CLUSTER, OF_OWN_CLUSTER
from aiplat.site.schema import site_schema

site_app = typer.Typer(
    no_args_is_help=True,
    help="""Check a site file and see what may stand in it.

A site file says what is wanted: hosts, networks, components, models. FILE is a file, a folder with a
site.yaml, or a site that aiplat brings along (lab, lab-agents). Without FILE it is ./site.yaml, or else the
built-in lab.
""",
)

FileArgument = Annotated[
    str | None, typer.Argument(metavar="[FILE]", help="A site file, or the name of a built-in site.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(site_app, name="site")


@site_app.command()
def check(file: FileArgument = None, as_json: JsonOption = False) -> None:
    """Say everything that is wrong with a site file, each with its line and what to do.

    Exit code 0 where nothing is wrong, 2 where something is. Notes tell what is well written but not in this
    version of aiplat; a plan stops there.
    """
    try:
        path = find_site(file)
        site = load_site(path)
    except BadInput as error:
        if not as_json:
            raise
        print_json(_report(file or "site.yaml", None, error.findings, []))
        raise typer.Exit(EXIT_BAD_INPUT) from None
    notes = [str(finding) for finding in undeliverable(site)]
    if as_json:
        print_json(_report(str(path), site, (), notes))
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for note in notes:
        console.print(f"note: {note}", style="yellow", markup=False)
    machines = "an existing cluster" if site.is_guest else _count(site.hosts, "host")
    has = f"{machines}, {_count(site.models, 'model')}"
    console.print(f"{path}: site {site.name} is good: {has}", markup=False)


@site_app.command()
def show(file: FileArgument = None, as_json: JsonOption = False) -> None:
    """Print a site file with everything filled in that it leaves out."""
    site = load_site(find_site(file))
    document = site.model_dump(mode="json", by_alias=True)
    # What an existing cluster decides itself is not part of the site.
    own = OF_OWN_CLUSTER if site.is_guest else OF_EXISTING_CLUSTER
    document["cluster"] = {n: v for n, v in document["cluster"].items() if n not in own and v is not None}
    document["cluster"] |= {"domain": site.domain}
    document["cluster"] |= {} if site.is_guest else {"endpoint": site.endpoint}
    if as_json:
        print_json(document)
        return
    yaml = YAML(typ="rt")
    yaml.dump(document, sys.stdout)


@site_app.command()
def schema() -> None:
    """Print the JSON Schema of site files (draft 2020-12), for editors that check while you type.

    In VS Code with the YAML extension: save it beside the site file and begin that with
    `# yaml-language-server: $schema=site.schema.json`.
    """
    typer.echo(json.dumps(site_schema(), indent=2))


@site_app.command()
def rules(as_json: JsonOption = False) -> None:
    """List the rules that a site file must keep."""
    told = {name: (rule.__doc__ or "").strip() for name, rule in RULES.items()}
    if as_json:
        print_json({"kind": "SiteRules", "rules": told})
        return
    for name, sentence in told.items():
        typer.echo(f"{name:26} {sentence}")


def _count(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def _report(file: str, site: Site | None, findings: tuple[Finding, ...], notes: list[str]) -> dict[str, Any]:
    return {
        "kind": "SiteCheck",
        "file": file,
        "site": site.name if site else None,
        "ok": not findings,
        "findings": [_as_json(finding, file) for finding in findings],
        "notes": notes,
    }


def _as_json(finding: Finding, file: str) -> dict[str, str | int]:
    if isinstance(finding, SiteFinding):
        return finding.as_json()
    return SiteFinding(**vars(finding), file=str(Path(file))).as_json()
