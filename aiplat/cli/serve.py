"""The `aiplat serve` verbs: services of aiplat in the foreground; what they do belongs to aiplat.services."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from aiplat.cli.arguments import SiteArgument
from aiplat.site.find import find_site

serve_app = typer.Typer(
    no_args_is_help=True,
    help="""Run one of aiplat's services here, in the foreground, until Ctrl-C.

In a cluster these run as pods; here they run for those who want just that service, or want the control API
where the SSH keys are.
""",
)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(serve_app, name="serve")


@serve_app.command()
def api(  # noqa: PLR0913, PLR0917 - one parameter an option
    site: SiteArgument = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 8445,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show everything, start no run, look at no host.")
    ] = False,
    new_admin_key: Annotated[
        bool, typer.Option("--new-admin-key", help="Make another admin key, for when the first one is lost.")
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate (PEM); needed beyond loopback.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
) -> None:
    """Serve the control API of a site: what `status`, `plan`, `bootstrap`, `verify` do, over HTTP.

    Runs are made by this machine, with its SSH keys, and go on when the API is stopped. The first start
    writes an admin key to a private file in the site's state folder and says where it is.

    Keys, teams and usage are in the database that AIPLAT_DATABASE_URL names, else in a SQLite file in the
    site's state folder. Exit codes: 0 stopped, 2 bad input.
    """
    given: list[str] = [str(find_site(site)), "--host", host, "--port", str(port)]
    given += ["--read-only"] if read_only else []
    given += ["--new-admin-key"] if new_admin_key else []
    given += ["--tls-cert", str(tls_cert)] if tls_cert else []
    given += ["--tls-key", str(tls_key)] if tls_key else []
    become("aiplat.services.api", given)


@serve_app.command()
def gateway(
    config: Annotated[
        Path, typer.Option(metavar="FILE", help="YAML or JSON: models, keys, prices, where to listen.")
    ],
) -> None:
    """Serve OpenAI's and Ollama's APIs in front of models, with keys, budgets and usage, without a cluster.

    The smallest file names a model and a key. The key's secret is made in the file it names:

        models: [{name: "gemma3:270m", url: "http://127.0.0.1:11434"}]
        keys: [{id: me, secret_file: me.key}]

    Keys, teams, budgets and usage are in a SQLite file beside the configuration, or in the PostgreSQL that
    `database: {url: postgresql://…}` names. Exit codes: 0 stopped, 2 bad input.
    """
    become("aiplat.services.gateway", ["--config", str(config)])


def become(module: str, arguments: Sequence[str]) -> NoReturn:
    """Go on as `python -m module`, with this process's number, terminal and environment."""
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell is wanted
