"""The `aiplat node` verbs."""

from __future__ import annotations

from typing import Annotated

import typer

from aiplat.cli.arguments import JsonLinesOption, SiteArgument

node_app = typer.Typer(
    no_args_is_help=True,
    help="""Change which hosts are in a site's cluster.

A host joins by being named under `hosts` in site.yaml and the next `aiplat bootstrap`. It leaves by the verb
below.
""",
)

_Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The host's name in site.yaml and in the cluster.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(node_app, name="node")


@node_app.command(name="remove")
def remove(
    name: _Name,
    site: SiteArgument = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonLinesOption = False,
) -> None:
    """Take a host out of the cluster: its pods go elsewhere, it is cleared, and the cluster forgets it.

    Also for a host that is lost for good, or that was taken out of site.yaml or renamed there: then nothing
    is done on the host itself. Volumes that were only on it are named; what they held stays on its disk until
    the host is cleared. The server cannot leave.

    Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted.
    """
    # Ansible's libraries take half a second to load: only this verb pays for them.
    from aiplat.cli.run_verbs import run_node_remove  # noqa: PLC0415

    run_node_remove(name, site, yes=yes, as_json=as_json)
