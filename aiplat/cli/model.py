"""The `aiplat model` verbs: list, deploy, expose, delete, logs, pull; how they show it is in model_verbs."""

from __future__ import annotations

from typing import Annotated

import typer

model_app = typer.Typer(
    no_args_is_help=True,
    help="""Declare models, see how they stand and why, take them away.

A Model is an object of the cluster: `kubectl get models.aiplat.dev -A` shows the same. The operator
makes engines of it, as many as its requests need.
Weights come from the site's bundle alone (`aiplat catalog models`, and `models` in the site file).
""",
)

_Site = Annotated[
    str | None,
    typer.Option(
        "--site", help="A site.yaml, its folder, or a built-in site. Default: ./site.yaml, else lab."
    ),
]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="The Model, or the name that clients use.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
_Seconds = Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(model_app, name="model")


@model_app.command(name="list")
def list_(site: _Site = None, as_json: _Json = False) -> None:
    """Show every Model of a site: how it stands, how many replicas serve, and why not where none does."""
    # What looks into a cluster takes a second to load: only these verbs pay for it.
    from aiplat.cli.model_verbs import show_list  # noqa: PLC0415

    show_list(site, as_json=as_json)


@model_app.command()
def deploy(  # noqa: PLR0913, PLR0917 - one parameter an option
    name: Annotated[str, typer.Argument(metavar="NAME", help="What clients call it.")],
    site: _Site = None,
    source: Annotated[
        str, typer.Option("--from", metavar="MODEL", help="Name in the catalogue. Default: NAME.")
    ] = "",
    image: Annotated[str, typer.Option(help="Weights as an image of the bundle, by digest.")] = "",
    engine: Annotated[
        str, typer.Option(help="An engine of the catalogue. Default: the form of the weights.")
    ] = "",
    replicas: Annotated[int | None, typer.Option(min=0, help="A fixed number of replicas.")] = None,
    minimum: Annotated[
        int | None, typer.Option("--min", min=0, help="Fewest replicas; 0: asleep while unused.")
    ] = None,
    maximum: Annotated[int | None, typer.Option("--max", min=1, help="Most replicas.")] = None,
    target: Annotated[
        int | None, typer.Option("--target-requests", min=1, help="Requests for one replica.")
    ] = None,
    context: Annotated[int | None, typer.Option(min=256, help="Tokens of context.")] = None,
    parallel: Annotated[int | None, typer.Option(min=1, help="Requests answered side by side.")] = None,
    profile: Annotated[str, typer.Option(help="A resource profile of the site.")] = "",
    cpu: Annotated[str, typer.Option(help="CPU that a replica asks for, such as 2 or 500m.")] = "",
    memory: Annotated[str, typer.Option(help="Memory that a replica asks for, such as 4Gi.")] = "",
    gpus: Annotated[str, typer.Option(help="NVIDIA GPUs that a replica asks for.")] = "",
    wait: Annotated[bool, typer.Option(help="Wait until it serves or is refused.")] = True,
    timeout: _Seconds = 300,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the object and change nothing.")] = False,
    as_json: _Json = False,
) -> None:
    """Declare a model, or change a declared one, and wait until it serves.

    Exit codes: 0 it serves (or sleeps until its first request), 1 it was refused or did not come up in time,
    2 bad input. Examples:

      aiplat model deploy phi3

      aiplat model deploy notes --from gemma3:270m --min 0 --max 2
    """
    from aiplat.actions.model import ModelOrder  # noqa: PLC0415
    from aiplat.cli.model_verbs import Waiting, deploy_model  # noqa: PLC0415

    asked = {"cpu": cpu, "memory": memory, "nvidia.com/gpu": gpus}
    order = ModelOrder(
        name=name,
        catalogue=source,
        image=image,
        engine=engine,
        replicas=replicas,
        minimum=minimum,
        maximum=maximum,
        target=target,
        context_length=context,
        parallel=parallel,
        profile=profile,
        requests={key: value for key, value in asked.items() if value},
    )
    deploy_model(site, order, Waiting(wait, timeout), dry_run=dry_run, as_json=as_json)


@model_app.command()
def expose(name: _Name, site: _Site = None, as_json: _Json = False) -> None:
    """Show where clients reach a model, after seeing that the gateway offers it there.

    Engines ask no key and are reached by the gateway alone: there is no way around it to open. Exit codes: 0
    the gateway offers it, 3 it does not.
    """
    from aiplat.cli.model_verbs import expose_model  # noqa: PLC0415

    expose_model(site, name, as_json=as_json)


@model_app.command()
def delete(
    name: _Name,
    site: _Site = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: _Json = False,
) -> None:
    """Take a Model away and wait until its engines are gone; its weights stay in the site's registry."""
    from aiplat.cli.model_verbs import delete_model  # noqa: PLC0415

    delete_model(site, name, yes=yes, as_json=as_json)


@model_app.command()
def logs(
    name: _Name,
    site: _Site = None,
    tail: Annotated[int, typer.Option(min=0, help="Last lines of each replica.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Print what a model's engines wrote; `aiplat logs --model NAME` is the same with more options."""
    from aiplat.cli.log_verbs import LogOptions, print_logs  # noqa: PLC0415

    print_logs(site, "", name, LogOptions(tail=tail, follow=follow), as_json=False)


@model_app.command()
def pull(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="Name or alias in the catalogue.")],
    site: _Site = None,
    timeout: _Seconds = 900,
    as_json: _Json = False,
) -> None:
    """Bring a model's weights from the site's registry onto every node, so that it starts there at once."""
    from aiplat.cli.model_verbs import pull_model  # noqa: PLC0415

    pull_model(site, name, timeout, as_json=as_json)
