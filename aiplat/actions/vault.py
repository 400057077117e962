"""`aiplat vault`: carries a site's secrets from one machine to another; asking passwords is the verb's."""

from __future__ import annotations

from pathlib import Path

from aiplat.actions.ground import is_lab
from aiplat.content import write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.runs.journal import one_run_at_a_time
from aiplat.site.models import Site
from aiplat.vault.store import read_secrets, seal_export, take_export


def export_vault(site: Site, path: Path, password: bytes) -> None:
    """Write a site's secrets into a file (0600), encrypted with `password`.

    Raises:
        BadInput: there is no vault, it cannot be opened, or the file is there already or cannot be written.
    """
    known = read_secrets(site.name)
    if known is None:
        problem = f"{site.name} has no vault on this machine"
        raise BadInput(Finding("vault", problem, "it is made by the first `aiplat bootstrap`"))
    if path.exists():
        raise BadInput(Finding(str(path), "is there already", "name a new file"))
    try:
        write_atomic(path, seal_export(site.name, known, password), mode=0o600)
    except OSError as error:
        raise BadInput(
            Finding(str(path), f"cannot be written ({error.strerror})", "name another file")
        ) from error


def import_vault(site: Site, path: Path, password: bytes) -> bool:
    """Take a site's secrets from a file that was exported elsewhere; say whether anything changed.

    Raises:
        BadInput: it cannot be opened, is another site's, or would replace other secrets.
        AiplatError: a run of the site is at work.
    """
    with one_run_at_a_time(site.name):
        return take_export(site, path, password, lab=is_lab(site))
