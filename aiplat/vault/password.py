"""Where the password of a site's vault comes from; the vault itself is in aiplat.vault.store."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from aiplat.content import write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.state import site_dir

PASSWORD_FILE = "AIPLAT_VAULT_PASSWORD_FILE"  # noqa: S105 - the name of a variable
_SERVICE = "aiplat"


def vault_password(site: str, *, lab: bool = False, create: bool = False) -> bytes:
    """Return the password of a site's vault.

    Looked for in the file named by `AIPLAT_VAULT_PASSWORD_FILE`, then in the site's own folder (labs
    only: it protects against copying the vault alone, not against a reader of this account), then in
    the keyring. With `create` a missing one is generated: for a lab in the folder, else in the keyring.

    Raises:
        BadInput: there is none and none may or can be made.
    """
    given = os.environ.get(PASSWORD_FILE)
    if given:
        return _from_file(Path(given))
    generated = site_dir(site) / "vault-password"
    if generated.exists():
        return _from_file(generated)
    if lab and create:
        write_atomic(generated, secrets.token_urlsafe(32).encode() + b"\n", mode=0o600)
        return _from_file(generated)
    return _from_keyring(site, create=create)


def _from_file(path: Path) -> bytes:
    try:
        password = path.read_bytes().strip()
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise BadInput(Finding(str(path), problem, f"check {PASSWORD_FILE}")) from error
    if not password:
        raise BadInput(Finding(str(path), "is empty", "write the vault's password into it (mode 0600)"))
    return password


def _from_keyring(site: str, *, create: bool) -> bytes:
    # Importing keyring looks for desktop services, which takes a second: only where it is needed.
    import keyring  # noqa: PLC0415
    import keyring.errors  # noqa: PLC0415

    try:
        found = keyring.get_password(_SERVICE, site)
        if found is None and create:
            found = secrets.token_urlsafe(32)
            keyring.set_password(_SERVICE, site, found)
    except keyring.errors.KeyringError as error:
        raise _no_password(site, "no keyring here") from error
    if found is None:
        raise _no_password(site, "the keyring has none for this site")
    return found.encode()


def _no_password(site: str, reason: str) -> BadInput:
    return BadInput(
        Finding(
            f"vault of site {site}",
            f"no password: {reason}",
            f"write one into a file (mode 0600) and set {PASSWORD_FILE} to its path",
        )
    )
