"""The `aiplat init` verb: arguments and questions; what is written is aiplat.actions.init's."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.prompt import Confirm, Prompt

from aiplat.actions.named_hosts import NAME_RULE, is_label
from aiplat.cli.contact import AcceptOption, AtTerminal, PasswordOption
from aiplat.cli.terminal import Console
from aiplat.errors import EXIT_CHECK_FAILED, BadInput, Finding
from aiplat.state import expanded

DEFAULT_NAME = "my-site"


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(name="init")(init)


def init(  # noqa: PLR0913 - one option each is what a command line is
    hosts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[HOST…]", help="[USER@]HOST[:PORT] or an ssh alias; the first is the server."
        ),
    ] = None,
    *,
    name: Annotated[str | None, typer.Option(help="Name of the site. Default: the folder's name.")] = None,
    output: Annotated[Path, typer.Option(help="The file to write.")] = Path("site.yaml"),
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Private key for all the hosts.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Write over a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    accept_keys: AcceptOption = False,
    ask_password: PasswordOption = False,
) -> None:
    """Look at machines over SSH and write the site file for them; `aiplat bootstrap` is all that is left.

    The file says in comments what was seen of each host and why each value was chosen: networks that none of
    the hosts has a way to, and the model that suits the hardware best. Whatever is wrong with the hosts is
    said as `aiplat doctor hosts` says it. Nothing is changed on them.

      aiplat init root@10.0.0.11 root@10.0.0.12 root@10.0.0.13

    Without HOST the questions are asked on the terminal.

    Exit codes: 0 written, 1 a host could not be looked at, 2 the arguments cannot be read, 3 written, but a
    host has a blocker.
    """
    # What reaches hosts takes a second to load.
    from aiplat.cli.init_verbs import InitOptions, write_site  # noqa: PLC0415

    _see_options(name, output, key)
    asked = hosts or []
    if not asked:
        _may_ask(as_json=as_json)
        name, asked = _ask(name, output)
    _free(output, yes=yes)
    wanted = InitOptions(tuple(asked), name or default_name(output), output, key)
    dialogue = AtTerminal(accept=accept_keys, ask=ask_password, silent=as_json)
    if not write_site(wanted, dialogue, as_json=as_json):
        raise typer.Exit(EXIT_CHECK_FAILED)


def _see_options(name: str | None, output: Path, key: Path | None) -> None:
    """Stop before any host is asked where an option cannot be worked with.

    Raises:
        BadInput: all that is wrong with the name, the file to write and the key.
    """
    wrong = (
        [Finding("--name", f"{name!r} is not a site name", NAME_RULE)] if name and not is_label(name) else []
    )
    place = expanded(output)
    if place.is_dir():
        wrong.append(Finding("--output", f"{output} is a folder", "name the file to write in it"))
    above = next(folder for folder in place.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        wrong.append(Finding("--output", f"{above} cannot be written to", "name another file"))
    if key and not expanded(key).is_file():
        wrong.append(Finding("--key", f"there is no file {key}", "name the private key"))
    elif key and not os.access(expanded(key), os.R_OK):
        wrong.append(Finding("--key", f"{key} cannot be read", "see whose it is"))
    if wrong:
        raise BadInput(wrong)


def default_name(output: Path) -> str:
    """Return the name of the folder that the file lies in as the name of a site."""
    folder = expanded(output).resolve().parent.name
    return re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")[:63].strip("-") or DEFAULT_NAME


def _may_ask(*, as_json: bool) -> None:
    """Stop where nobody can be asked.

    Raises:
        BadInput: standard input is not a terminal, or a program reads the answer.
    """
    if as_json or not sys.stdin.isatty():
        problem = "no host is named, and there is no terminal to ask on"
        raise BadInput(Finding("aiplat init", problem, "name the hosts: aiplat init USER@HOST…, see --help"))


def _ask(name: str | None, output: Path) -> tuple[str, list[str]]:
    """Return the site's name and its hosts as a person types them."""
    console = Console(stderr=True, highlight=False)
    console.print("Hosts are machines with Linux that ssh reaches as root, or as a user who may use sudo.")
    called = name or str(Prompt.ask("Name of the site", default=default_name(output), console=console))
    hosts: list[str] = []
    while not hosts:
        hosts += Prompt.ask("The server, as [USER@]HOST[:PORT]", console=console).split()
    more = "Another host (an agent), or nothing"
    while answer := Prompt.ask(more, default="", show_default=False, console=console):
        hosts += answer.split()
    console.print(f"The same without questions: aiplat init --name {called} {' '.join(hosts)}", style="dim")
    return called, hosts


def _free(output: Path, *, yes: bool) -> None:
    """Stop unless the file may be written.

    Raises:
        BadInput: there is one already, and nobody agreed to lose it.
    """
    if not output.exists() or yes:
        return
    problem = "is there already"
    if output.is_file() and sys.stdin.isatty():
        console = Console(stderr=True, highlight=False)
        if Confirm.ask(f"{output} {problem}. Write over it?", console=console, default=False):
            return
        problem = "is there already, and stays as it is"
    raise BadInput(Finding(str(output), problem, "name another file with --output, or add --yes"))
