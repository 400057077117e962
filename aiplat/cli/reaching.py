"""Says that hosts are being reached, which takes silent ones their time; the reaching is aiplat.actions'."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiplat.actions.contact import meet_hosts
from aiplat.actions.site_hosts import is_lab
from aiplat.cli.contact import AtTerminal
from aiplat.cli.terminal import Console
from aiplat.site.models import Site


def meet(site: Site, dialogue: AtTerminal, *, lab: bool = False, quiet: bool = False) -> None:
    """Get to know a site's hosts, if it has any, and say so first: silent ones take their time.

    `quiet` where a program follows the run's events: what it reads as errors are findings alone.

    Raises:
        BadInput: a key was not accepted, or the password is wrong.
    """
    if site.is_guest:
        return
    if not quiet and not lab and not is_lab(site):
        count = len(site.hosts)
        said = f"reaching {count} host{'' if count == 1 else 's'} of {site.name}"
        # Questions may follow, so nothing moves here.
        Console(stderr=True, highlight=False, soft_wrap=True).print(said, style="dim", markup=False)
    meet_hosts(site, dialogue, lab=lab)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say on standard error what is waited for: a moving mark on a terminal, a line elsewhere."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        console.print(what, markup=False)
        yield
