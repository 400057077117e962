"""What `aiplat env` prints; which variables there are is decided in aiplat.actions.env."""

from __future__ import annotations

import shlex
import sys

import typer

from aiplat.actions.env import environment, lacks_tunnel
from aiplat.actions.tunnel import reached_by
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.site.find import find_site
from aiplat.site.load import load_site


def show_environment(argument: str | None, *, as_json: bool) -> None:
    """Print the exports, and warn where they are shown rather than taken."""
    site = load_site(find_site(argument))
    variables = environment(site)
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    if lacks_tunnel(site):
        named = f" {argument}" if argument else ""
        through = "its cluster's API" if site.is_guest else "ssh"
        problem = f"{site.name if site.is_guest else reached_by(site)} is reached through {through} only"
        fix = f"hold `aiplat tunnel{named}` open in another terminal, then run this again"
        notes.print(f"{problem}: {fix}", style="yellow", markup=False)
    if sys.stdout.isatty():
        warning = 'these lines hold the API key; to use them: eval "$(aiplat env)"'
        notes.print(warning, style="yellow")
    if as_json:
        print_json(variables)
        return
    for name, value in variables.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
