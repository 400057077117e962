"""Whether a file has certificates in PEM form and nothing secret; whom they vouch for is not judged here."""

from __future__ import annotations

import ssl
from pathlib import Path

from aiplat.site.tokens import secret_form

FIX = "name a file with certificates in PEM form"
_ALONE = "name a file with the certificates alone"


def fault_of_certificates(path: Path) -> tuple[str, str] | None:
    """Return what is wrong with a file of certificates, and what to do; None where it is one.

    Its text goes to hosts, pods and people as it is, so a private key beside the certificates is a fault.
    """
    if not path.is_file():
        return f"there is no file {path}", FIX
    try:
        text = path.read_bytes().decode("latin-1")
        if secret := secret_form(text):
            return f"{path} has {secret} in it", _ALONE
        # OpenSSL judges, for it reads the file in the end; one cut off in the middle is refused.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        whole = "a certificate that cannot be read" if "-----BEGIN CERTIFICATE-----" in text else None
        return f"{path} has {whole or 'no certificate'}", FIX
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}", FIX
    return None
