"""The `aiplat doctor` verbs: what is wrong and what to do; the judging is in aiplat.gpu."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aiplat.cli.contact import AcceptOption, AtTerminal, PasswordOption
from aiplat.errors import BadInput, Finding

doctor_app = typer.Typer(
    no_args_is_help=True,
    help="Find out what is wrong with a host, and what to do about it. Nothing is changed.",
)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(doctor_app, name="doctor")


@doctor_app.command()
def gpu(
    site: Annotated[
        str | None,
        typer.Argument(
            metavar="[SITE]",
            help="A site.yaml, its folder, or a built-in site. Default: ./site.yaml, else lab.",
        ),
    ] = None,
    facts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Judge recorded facts instead of a site's hosts.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    accept_keys: AcceptOption = False,
    ask_password: PasswordOption = False,
) -> None:
    """Judge the NVIDIA GPUs of a site's hosts, from the bus to Kubernetes: the root cause first.

    Each host gets one verdict with its cause and its fix; what else was seen is reported after it. Only
    commands that read are run. `healthy` needs positive proof; where what was seen does not
    suffice, the verdict is `unknown` and names what to look at. All are in docs/reference/gpu-verdicts.md.

    FILE is YAML or JSON with a map `facts` of commands to what they printed, for example:

      facts: {"nvidia-smi": "Failed to initialize NVML: Driver/library version mismatch"}

    Exit codes: 0 every host is well or has no GPU, 1 a host could not be looked at, 2 the file cannot be
    read, 3 a host is ill or unknown.
    """
    # What reaches hosts takes a second to load: recorded facts need none of it.
    from aiplat.cli.doctor_verbs import show_facts, show_site  # noqa: PLC0415

    if facts and site:
        raise BadInput(Finding("aiplat doctor gpu", "takes a site or --facts, not both", "leave one out"))
    dialogue = AtTerminal(accept=accept_keys, ask=ask_password, silent=as_json)
    code = show_facts(facts, as_json=as_json) if facts else show_site(site, dialogue, as_json=as_json)
    if code:
        raise typer.Exit(code)


@doctor_app.command()
def hosts(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SITE | HOST…]",
            help="A site.yaml, its folder, a built-in site; or hosts as [USER@]HOST[:PORT] or aliases, the "
            "first of which is the server. Default: ./site.yaml, else lab.",
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private key for hosts that are named.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    accept_keys: AcceptOption = False,
    ask_password: PasswordOption = False,
) -> None:
    """Say which preconditions hosts do not meet, each with what was seen and what to do.

    All hosts are looked at side by side, in one SSH call each. A blocker keeps a site from being installed
    and is refused by `aiplat plan` and `aiplat bootstrap` too; a warning will trouble somebody later; a note
    is good to know. All checks stand in docs/reference/host-checks.md.

      aiplat doctor hosts root@10.0.0.11 root@10.0.0.12

    Exit codes: 0 every host is well, 1 a host could not be looked at, 2 the arguments cannot be read, 3 a
    host has a blocker or a warning.
    """
    from aiplat.cli.doctor_hosts import show_hosts  # noqa: PLC0415 - what reaches hosts takes a second

    dialogue = AtTerminal(accept=accept_keys, ask=ask_password, silent=as_json)
    if code := show_hosts(targets or [], key, dialogue, as_json=as_json):
        raise typer.Exit(code)


@doctor_app.command()
def cluster(
    kubeconfig: Annotated[
        Path, typer.Option(metavar="FILE", envvar="KUBECONFIG", help="How the cluster is reached.")
    ] = Path("~/.kube/config"),
    context: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of its contexts; left out, the current one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say what a cluster that somebody else made (kind, k3d, a managed one) lacks for the platform.

    Its API is asked for its version, nodes, storage classes, network plugin and for what you may do there;
    one pod is sent as a dry run, which the API does not keep. A program that the kubeconfig names for
    credentials is run, as kubectl runs it. A site goes into such a cluster by `cluster.existing`.

      aiplat doctor cluster --context kind-kind

    Exit codes: 0 nothing is missing, 1 the cluster cannot be asked, 2 the file cannot be used, 3
    something is missing.
    """
    from aiplat.cli.doctor_cluster import show_cluster  # noqa: PLC0415 - Kubernetes' client takes a second

    if code := show_cluster(kubeconfig, context, as_json=as_json):
        raise typer.Exit(code)
