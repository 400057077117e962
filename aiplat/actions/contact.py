"""Gets to know a site's hosts before a verb works on them; how people are asked is aiplat.cli's."""

from __future__ import annotations

from aiplat.actions.site_hosts import is_lab
from aiplat.fleet.contact import Dialogue, make_contact
from aiplat.site.models import Site


def meet_hosts(site: Site, dialogue: Dialogue, *, lab: bool = False) -> None:
    """Confirm host keys that are new and find out sudo's password; a lab's hosts need neither.

    Raises:
        BadInput: a key was not accepted, or the password is wrong; nothing was changed.
    """
    if not lab and not is_lab(site):
        make_contact(site, site.hosts, dialogue)
