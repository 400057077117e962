"""What a client needs to reach a site: its URL, key and certificates; using them belongs to the verbs."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from aiplat.content import write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.vault.store import read_secrets
from aiplat.verify.world import in_url

# Where systems keep the certificate authorities they trust, in one file.
_SYSTEM_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True)
class Access:
    """How to reach a site's platform; `repr` does not show the key."""

    url: str
    key: str = field(repr=False)
    authorities: Path
    kubeconfig: Path


def access_to(site: Site) -> Access:
    """Return how to reach a site, with the system's authorities and the site's own in one file.

    Raises:
        BadInput: the site was never bootstrapped from here, or its vault cannot be opened.
    """
    secrets = read_secrets(site.name)
    if secrets is None:
        problem = "has no key that is known on this machine"
        raise BadInput(Finding(f"site {site.name}", problem, "run `aiplat bootstrap`"))
    folder = site_dir(site.name)
    return Access(
        url=f"https://{in_url(site.endpoint)}",
        key=secrets.api_key,
        authorities=_with_system_authorities(folder / "ca-bundle.crt", secrets.ca.crt),
        kubeconfig=folder / "kubeconfig",
    )


def _with_system_authorities(path: Path, own: str) -> Path:
    # SSL_CERT_FILE replaces what a program trusts: with the site's CA alone, the rest of the world would
    # be cut off in that shell.
    system = next((p for p in map(Path, _candidates()) if p.is_file()), None)
    pem = f"{system.read_text().rstrip()}\n{own}" if system else own
    if not path.exists() or path.read_text() != pem:
        write_atomic(path, pem.encode())
    return path


def _candidates() -> tuple[str, ...]:
    return (ssl.get_default_verify_paths().openssl_cafile, *_SYSTEM_AUTHORITIES)
