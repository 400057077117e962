"""The last lines of a first bootstrap: the link with which the site's first admin sets a password."""

from __future__ import annotations

from aiplat.cli.reaching import waiting
from aiplat.cli.terminal import Console
from aiplat.cli.users import link_lines
from aiplat.errors import AiplatError
from aiplat.site.models import Site


def offer_first_sign_in(site: Site) -> None:
    """Make the first admin where the site's sign-in has nobody yet, and print the link; else say nothing.

    A sign-in that does not answer is said, and is not a failure of the run, which its checks tell of.
    """
    # What looks into a cluster takes a second to load: only sites that have a sign-in pay for it.
    from aiplat.actions.users import first_admin, has_sign_in  # noqa: PLC0415

    if not has_sign_in(site):
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        with waiting("asking the sign-in for its first user"):
            invited = first_admin(site)
    except AiplatError as error:
        for finding in error.findings:
            console.print(str(finding), style="yellow", markup=False)
        console.print("`aiplat users add NAME --group admin` makes the first user later", style="dim")
        return
    if invited is not None:
        console.print(f"Nobody can sign in yet. {link_lines(invited)}", markup=False)
        console.print(invited.link, style="bold", markup=False)
        console.print(f"When it was lost: aiplat users link {invited.name}", style="dim")
