"""The `aiplat secret` verbs: a value is read from a person or a pipe; keeping it is aiplat.actions'."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from aiplat.cli.arguments import JsonOption, SiteArgument
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, Finding
from aiplat.site.find import find_site
from aiplat.site.load import load_site

if TYPE_CHECKING:
    from aiplat.actions.secret import SecretList

secret_app = typer.Typer(
    no_args_is_help=True,
    help="""Keep secrets for a site: passwords, tokens and keys that its site.yaml only names.

Where values of a component want a secret, write {fromSecret: NAME} there. The value is kept in the site's
vault on this machine, encrypted, and reaches the cluster alone: it is in no plan, event, log or lock.
""",
)

_Name = Annotated[str, typer.Argument(help="What the site calls it: lower-case letters, digits, dashes.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(secret_app, name="secret")


@secret_app.command(name="set")
def set_(name: _Name, site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Keep a secret, or another value of it, read from standard input; one newline at its end goes.

    On a terminal it is asked for and not shown. What uses it gets it with the next `aiplat bootstrap`.
    For example:

      printf %s "$TOKEN" | aiplat secret set hub-token

      aiplat secret set backup-key ward-3/site.yaml < key.pem
    """
    # The vault's library takes half a second to load: --help need not wait.
    from aiplat.actions.secret import set_secret  # noqa: PLC0415

    wanted = load_site(find_site(site))
    changed = set_secret(wanted, name, _value(name))
    if as_json:
        print_json({"kind": "Summary", "changed": int(changed), "secret": name})
        return
    said = "is kept; `aiplat bootstrap` brings it to where it is used" if changed else "is what it was"
    _say(f"secret {name} of {wanted.name} {said}")


@secret_app.command(name="list")
def list_(site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """List a site's secrets by name, with where they are used; also those that nobody has given yet."""
    from aiplat.actions.secret import list_secrets  # noqa: PLC0415

    found = list_secrets(load_site(find_site(site)))
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
    elif found.secrets:
        Console(highlight=False).print(_table(found))
    else:
        _say(f"{found.site} has no secrets but those that are generated")


@secret_app.command(name="rm")
def rm(name: _Name, site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Keep a secret no longer. One that the site still refers to stays, and where it does is said."""
    from aiplat.actions.secret import remove_secret  # noqa: PLC0415

    wanted = load_site(find_site(site))
    remove_secret(wanted, name)
    if as_json:
        print_json({"kind": "Summary", "changed": 1, "secret": name})
    else:
        _say(f"secret {name} of {wanted.name} is gone")


def _value(name: str) -> str:
    """Read a secret: from whoever sits at the terminal, who types it twice, or from a pipe."""
    if sys.stdin.isatty():
        first = getpass.getpass(f"{name}: ")
        if getpass.getpass(f"{name} once more: ") != first:
            raise BadInput(Finding(f"secret {name}", "the two were not the same", "try again"))
        return first
    try:
        text = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        problem = "its value is not UTF-8 text"
        raise BadInput(Finding(f"secret {name}", problem, "encode it, for example with base64")) from None
    return text.removesuffix("\n").removesuffix("\r")


def _table(found: SecretList) -> Table:
    table = Table("secret", "since", "used", box=None, pad_edge=False)
    for line in found.secrets:
        missing = f"not given yet: aiplat secret set {line.name}"
        table.add_row(line.name, line.since or missing, "\n".join(line.used) or "nowhere")
    return table


def _say(sentence: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(sentence, markup=False)
