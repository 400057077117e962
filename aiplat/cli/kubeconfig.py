"""The `aiplat kubeconfig` verb: prints a kubeconfig; what is in it is aiplat.actions.kubeconfig's."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from aiplat.cli.arguments import SiteArgument
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, Finding
from aiplat.site.find import find_site
from aiplat.site.load import load_site

_LONGEST_HOURS = 30 * 24


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(kubeconfig)


def kubeconfig(
    site: SiteArgument = None,
    team: Annotated[str, typer.Option(metavar="NAME", help="The Team whose namespace it is for.")] = "",
    hours: Annotated[
        int, typer.Option(min=1, max=_LONGEST_HOURS, help="After how many hours the team's token ends.")
    ] = 12,
    admin: Annotated[
        bool, typer.Option("--admin", help="The cluster's administrator's own: everything, without an end.")
    ] = False,
    by_name: Annotated[
        bool, typer.Option("--sign-in", help="Without a credential: whoever uses it signs in by name.")
    ] = False,
) -> None:
    """Print a kubeconfig, as JSON, which kubectl reads as well as YAML.

    With --team it is for the namespace of that Team alone, by a token of the team's account that ends by
    itself; deleting the Team ends it at once. Keep it like a password: who has it is the team.
    `aiplat kubeconfig --team ward >ward.kubeconfig` makes a file to hand over.

    With --sign-in it has no credential and works on any machine with `aiplat`: kubectl runs `aiplat login`,
    and the API server takes the token. What a person may do is said by the groups and Teams they are in;
    --team only chooses the namespace.

    Exit codes: 0 printed, 1 the cluster cannot be asked, 2 bad input, no such Team, or nothing was
    bootstrapped from here.
    """
    if admin == bool(team or by_name):
        problem = "name a Team, ask for one that people sign in with, or for the administrator's"
        fix = "use --team NAME, --sign-in, both of them, or --admin"
        raise BadInput(Finding("aiplat kubeconfig", problem, fix))
    # What reaches a cluster takes a second to load: only this verb pays for it.
    from aiplat.actions.kubeconfig import (  # noqa: PLC0415
        admin_kubeconfig,
        person_kubeconfig,
        team_kubeconfig,
    )

    found = load_site(find_site(site))
    if by_name:
        print_json(person_kubeconfig(found, team))
        return
    document = admin_kubeconfig(found) if admin else team_kubeconfig(found, team, hours)
    if sys.stdout.isatty():
        warning = "this is a credential; write it to a file that only you can read"
        Console(stderr=True, highlight=False, soft_wrap=True).print(warning, style="yellow")
    print_json(document)
