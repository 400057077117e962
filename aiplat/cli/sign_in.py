"""The `aiplat sign-in` verb: prints who signs people in; what that comes to is aiplat.actions.sign_in's."""

from __future__ import annotations

import typer
from rich.table import Table
from rich.text import Text

from aiplat.actions.sign_in import SiteSignIn, sign_in_of
from aiplat.cli.arguments import JsonOption, SiteArgument
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.site.find import find_site
from aiplat.site.load import load_site


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="sign-in")(sign_in)


def sign_in(site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Print who signs people in at a site: the issuer, its clients, and which groups may do what.

    With `signIn` in site.yaml it is what your company's provider must know of this site: register a client
    of that id with these addresses. Without it, aiplat registers all of it in the component `canaille`.

    Exit codes: 0 printed, 2 bad input or nobody signs people in.
    """
    found = sign_in_of(load_site(find_site(site)))
    if as_json:
        print_json({"kind": "SiteSignIn", **found.model_dump(mode="json", by_alias=True)})
        return
    _print(found)


def _print(found: SiteSignIn) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    rows = {
        "issuer": found.issuer + ("" if found.whose == "company" else " (this site)"),
        "scopes": " ".join(found.scopes),
        "claims": f"{found.user_claim}, {found.groups_claim}",
    }
    rows |= {role: ", ".join(names) or "nobody" for role, names in found.groups.items()}
    for client in found.clients:
        rows[f"client {client.id}"] = "public, with PKCE" if client.public else "with a secret"
        rows[f"  {client.id}: back to"] = "\n".join(client.redirect_uris) or "nowhere: no page asks yet"
        rows[f"  {client.id}: after signing out"] = "\n".join(client.logout_uris) or "nowhere"
    for what, said in rows.items():
        table.add_row(Text(what), Text(said))
    Console(highlight=False, soft_wrap=True).print(table)
