"""The `aiplat logs` verb; what it prints is in log_verbs."""

from __future__ import annotations

from typing import Annotated

import typer

from aiplat.cli.arguments import SITE_HELP


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="logs")(logs)


def logs(  # noqa: PLR0913, PLR0917 - one parameter an option
    component: Annotated[
        str | None, typer.Argument(metavar="[COMPONENT]", help="A component that is on, such as gateway.")
    ] = None,
    site: Annotated[str | None, typer.Option("--site", help=SITE_HELP)] = None,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="The engines of this Model instead of a component.")
    ] = "",
    since: Annotated[
        str, typer.Option(help="From then on: 30s, 10m, 2h, 1d, or a time such as 2026-05-04T10:00 (UTC).")
    ] = "",
    tail: Annotated[
        int | None,
        typer.Option(min=0, help="Last lines of each container. Default: 100; with --since all of them."),
    ] = None,
    level: Annotated[
        str, typer.Option(help="This or worse: debug, info, warning, error, critical.")
    ] = "debug",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    previous: Annotated[
        bool, typer.Option("--previous", "-p", help="Of the containers before their last restart.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Each line as a JSON document.")] = False,
) -> None:
    """Print what a component wrote, oldest first, each line with time (UTC), level and who wrote it.

    Components in the cluster are read with the site's kubeconfig; k3s, registry and nvidia are units of the
    hosts and are read from their journals over ssh (at most 10,000 lines a host, never followed). A line that
    does not say how serious it is has the level of the line before. With --follow, pods that are made later
    are not read. Exit codes: 0 shown, 1 cluster or host cannot be asked, 2 bad input. Examples:

      aiplat logs gateway --since 10m --level warning

      aiplat logs --model phi3 --follow

      aiplat logs k3s --tail 20
    """
    # What looks into a cluster takes a second to load: only this verb pays for it.
    from aiplat.cli.log_verbs import LogOptions, print_logs  # noqa: PLC0415

    options = LogOptions(since, tail, level, follow=follow, previous=previous)
    print_logs(site, component or "", model, options, as_json=as_json)
