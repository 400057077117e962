"""Asks at the terminal about new host keys and for sudo's password; options answer beforehand."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.prompt import Confirm

from aiplat.cli.terminal import Console
from aiplat.errors import BadInput, Finding
from aiplat.fleet.contact import HostKey
from aiplat.fleet.sentences import ACCEPT, ASK
from aiplat.fleet.sudo import PASSWORD_FILE

AcceptOption = Annotated[
    bool, typer.Option(ACCEPT, help="Trust hosts that are seen for the first time, as their keys are now.")
]
PasswordOption = Annotated[
    bool,
    typer.Option(
        ASK,
        help=f"Ask for sudo's password first. Programs name a file with it: {PASSWORD_FILE}.",
    ),
]


@dataclass(frozen=True)
class AtTerminal:
    """Asks at the terminal; `accept` and `ask` are the options of the same meaning."""

    accept: bool = False
    ask: bool = False
    silent: bool = False

    def trust(self, keys: Sequence[HostKey]) -> bool:
        """Show the fingerprints and ask whether they are the machines' own.

        Raises:
            BadInput: nobody is there to be asked.
        """
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        for key in keys:
            console.print(f"{key.what} ({key.name}) is new here: {key.kind} {key.fingerprint}", markup=False)
        if self.accept:
            return True
        if self.silent or not sys.stdin.isatty():
            fix = f"compare it with `ssh-keygen -lf /etc/ssh/ssh_host_*.pub` there, then give {ACCEPT}"
            raise BadInput([Finding(k.what, f"its key {k.fingerprint} is not known yet", fix) for k in keys])
        ask = "Are these the machines' own keys?" if len(keys) > 1 else "Is this the machine's own key?"
        return Confirm.ask(ask, console=console, default=False)

    def password(self, user: str, hosts: Sequence[str], wrong: bool) -> str | None:
        """Ask for the password without showing it; None where nobody is there to be asked."""
        if not self.ask and (self.silent or not sys.stdin.isatty()):
            return None
        again = "That was wrong. " if wrong else ""
        try:
            return getpass.getpass(f"{again}sudo's password of {user} on {', '.join(hosts)}: ")
        except EOFError:
            return None
