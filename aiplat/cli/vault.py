"""The `aiplat vault` verbs: files, passwords, rotations; what is in a vault is never shown."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from aiplat.cli.arguments import SITE_HELP, JsonOption, SiteArgument
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, Finding
from aiplat.site.find import find_site
from aiplat.site.load import load_site

vault_app = typer.Typer(
    no_args_is_help=True,
    help="""Carry a site's secrets to another machine, keep a copy of them, exchange them for new ones.

The vault holds the cluster's token, the site's CA and every key and password. It is on the machine that
bootstrapped the site, and without it nobody can change the site any more: `aiplat plan` refuses hosts whose
secrets are not here. So export it after the first bootstrap, and keep the file and its password apart.
""",
)

_File = Annotated[Path, typer.Argument(metavar="FILE", help="The exported file.", show_default=False)]
_PasswordFile = Annotated[
    Path | None, typer.Option(help="File with the exported file's password; left out, it is asked for.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(vault_app, name="vault")


@vault_app.command(name="export")
def export(
    file: _File, site: SiteArgument = None, password_file: _PasswordFile = None, as_json: JsonOption = False
) -> None:
    """Write the secrets of SITE into FILE, encrypted with a password that you choose.

    The file is an ansible-vault (AES-256) of mode 0600; one that is there already is never replaced.
    """
    # The vault's library takes half a second to load: --help need not wait.
    from aiplat.actions.vault import export_vault  # noqa: PLC0415

    wanted = load_site(find_site(site))
    export_vault(wanted, file, lambda: _password(password_file, twice=True))
    _end(
        as_json, changed=True, said=f"the secrets of {wanted.name} are in {file}; keep its password elsewhere"
    )


@vault_app.command(name="rotate")
def rotate(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...",
            help="api-key, ca, database-password, k3s-token, or a component's such as thing/cookie.",
            show_default=False,
        ),
    ],
    site: Annotated[str | None, typer.Option(metavar="SITE", help=SITE_HELP)] = None,
    as_json: JsonOption = False,
) -> None:
    """Make new secrets; the next `aiplat bootstrap` brings them to where they are used, as its plan says.

    The former ones are kept until the new ones were seen to work. The API key and the CA overlap: one
    bootstrap brings the new one, the bootstrap after that withdraws the former, so run it when your clients
    have the new one. Until the first, nothing changes but this machine's ca.crt, which trusts both CAs.

    For example:

      aiplat vault rotate api-key && aiplat bootstrap

      aiplat vault rotate ca k3s-token --site ward-3/site.yaml
    """
    from aiplat.actions.vault import rotate_secrets  # noqa: PLC0415

    wanted = load_site(find_site(site))
    pending = rotate_secrets(wanted, names)
    if as_json:
        print_json({"kind": "Summary", "changed": len(set(names)), "pending": list(pending)})
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for sentence in pending:
        console.print(sentence, markup=False)
    console.print(f"`aiplat bootstrap` carries it out on {wanted.name}", markup=False)


@vault_app.command(name="import")
def import_(
    file: _File, site: SiteArgument = None, password_file: _PasswordFile = None, as_json: JsonOption = False
) -> None:
    """Take the secrets of SITE from FILE, so that this machine can plan and change the site.

    Secrets that are here and differ are never replaced.
    """
    from aiplat.actions.vault import import_vault  # noqa: PLC0415

    wanted = load_site(find_site(site))
    changed = import_vault(wanted, file, lambda: _password(password_file, twice=False))
    said = "are here now" if changed else "were here already"
    _end(as_json, changed=changed, said=f"the secrets of {wanted.name} {said}")


def _password(file: Path | None, *, twice: bool) -> bytes:
    """Return the password of an exported file, from a file or from whoever sits at the terminal."""
    if file is None and not sys.stdin.isatty():
        problem = "the password of the exported file cannot be asked for without a terminal"
        raise BadInput(Finding("--password-file", problem, "name a file that holds it (mode 0600)"))
    first = getpass.getpass("password of the exported file: ") if file is None else _read(file)
    if file is None and twice and getpass.getpass("once more: ") != first:
        raise BadInput(Finding("password", "the two were not the same", "try again"))
    if not first.strip():
        raise BadInput(Finding(str(file or "password"), "is empty", "choose a password"))
    return first.strip().encode()


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read ({getattr(error, 'strerror', None) or 'it is not UTF-8 text'})"
        raise BadInput(Finding(str(file), problem, "name the file with the password")) from error


def _end(as_json: bool, *, changed: bool, said: str) -> None:
    if as_json:
        print_json({"kind": "Summary", "changed": int(changed)})
    else:
        Console(stderr=True, highlight=False, soft_wrap=True).print(said, markup=False)
