"""The `aiplat hosts` verb: prints lines for name servers; which names there are is aiplat.actions.hosts'."""

from __future__ import annotations

from typing import Annotated

import typer

from aiplat.actions.hosts import Format, SiteNames, lines_of, names_of
from aiplat.cli.arguments import JsonOption, SiteArgument
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.site.find import find_site
from aiplat.site.load import load_site


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command()(hosts)


def hosts(
    site: SiteArgument = None,
    form: Annotated[
        Format, typer.Option("--format", help="hosts: /etc/hosts. dnsmasq: its configuration. bind: records.")
    ] = "hosts",
    as_json: JsonOption = False,
) -> None:
    """Print a site's names with its address, for /etc/hosts, dnsmasq or BIND.

    Nothing is changed: add the lines where your machines look names up. dnsmasq and BIND answer every name
    under the domain; /etc/hosts has no wildcards, so names of teams' Ingress objects must be added by hand.
    A domain like 10-0-0-11.sslip.io needs no lines where the Internet's name servers can be asked.

    Exit codes: 0 printed, 2 bad input or no address is known.
    """
    found = names_of(load_site(find_site(site)))
    if as_json:
        document = {"kind": "SiteNames", **found.model_dump(mode="json"), "leadThere": found.lead_there}
        print_json({**document, "format": form, "lines": lines_of(found, form)})
        return
    _remark(found)
    if not found.lead_there:
        for line in lines_of(found, form):
            typer.echo(line)


def _remark(found: SiteNames) -> None:
    """Say on stderr what the domain says by itself."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    at = ", ".join(found.addresses)
    if found.lead_there:
        said = f"nothing is needed: the Internet's name servers answer {found.domain} with {found.says}"
        console.print(said, markup=False)
    elif found.says:
        console.print(f"{found.domain} says {found.says}, and the site is at {at}", markup=False)
