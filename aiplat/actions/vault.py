"""`aiplat vault`: carries a site's secrets from one machine to another; asking passwords is the verb's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from aiplat.actions.site_hosts import is_lab
from aiplat.content import write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.runs.journal import one_run_at_a_time
from aiplat.site.models import Site
from aiplat.vault.password import vault_password
from aiplat.vault.rotation import installed, pending, proven, rotated
from aiplat.vault.store import SiteSecrets, read_secrets, seal_export, take_export, write_secrets


def export_vault(site: Site, path: Path, password: Callable[[], bytes]) -> None:
    """Write a site's secrets into a file (0600), encrypted with the password that is asked for last.

    Raises:
        BadInput: there is no vault, it cannot be opened, or the file is there already or cannot be written.
    """
    known = _known(site)
    if path.exists():
        raise BadInput(Finding(str(path), "is there already", "name a new file"))
    chosen = password()
    try:
        write_atomic(path, seal_export(site.name, known, chosen), mode=0o600)
    except OSError as error:
        raise BadInput(
            Finding(str(path), f"cannot be written ({error.strerror})", "name another file")
        ) from error


def import_vault(site: Site, path: Path, password: Callable[[], bytes]) -> bool:
    """Take a site's secrets from a file that was exported elsewhere; say whether anything changed.

    Raises:
        BadInput: it cannot be opened, is another site's, or would replace other secrets.
        AiplatError: a run of the site is at work.
    """
    if not path.is_file():
        raise BadInput(Finding(str(path), "there is no such file", "name the file that was exported"))
    told = password()
    with one_run_at_a_time(site.name):
        return take_export(site, path, told, lab=is_lab(site))


def rotate_secrets(site: Site, names: Sequence[str]) -> tuple[str, ...]:
    """Make new secrets under these names and keep the former; return what the next bootstrap will do.

    Raises:
        BadInput: there is no vault, it cannot be opened, or a name cannot be rotated now.
        AiplatError: a run of the site is at work.
    """
    with one_run_at_a_time(site.name):
        wanted = rotated(site, _known(site), list(dict.fromkeys(names)))
        write_secrets(site.name, wanted, vault_password(site.name))
    return tuple(pending(wanted).values())


def note_installed(site: Site) -> None:
    """Note that a run brought what was rotated to where it is used."""
    _note(site, installed)


def note_proven(site: Site) -> None:
    """Note that everything was seen to work with what was rotated: the former may go."""
    _note(site, proven)


def _note(site: Site, change: Callable[[SiteSecrets], SiteSecrets]) -> None:
    known = read_secrets(site.name)
    if known and (wanted := change(known)) != known:
        write_secrets(site.name, wanted, vault_password(site.name))


def _known(site: Site) -> SiteSecrets:
    known = read_secrets(site.name)
    if known is None:
        problem = f"{site.name} has no vault on this machine"
        raise BadInput(Finding("vault", problem, "it is made by the first `aiplat bootstrap`"))
    return known
