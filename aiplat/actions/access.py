"""What a client needs to reach a site: its URL, key and certificates; using them belongs to the verbs."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from aiplat.content import write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.site.addresses import in_url
from aiplat.site.models import Site
from aiplat.state import site_dir, state_home
from aiplat.vault.store import read_secrets

# What programs read before, or instead of, the system's authorities; the later ones win where they are set.
TRUST_VARIABLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")

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
    """Return how to reach a site, with what is trusted already and the site's CA in one file.

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
        key=secrets.key_in_use,
        authorities=_with_system_authorities(folder / "ca-bundle.crt", secrets.authorities),
        kubeconfig=folder / "kubeconfig",
    )


def _with_system_authorities(path: Path, own: str) -> Path:
    # SSL_CERT_FILE replaces what a program trusts: with the site's CA alone, the rest of the world would
    # be cut off in that shell.
    trusted = next((p for p in map(Path, _candidates()) if p.is_file()), None)
    pem = f"{trusted.read_text().rstrip()}\n{own}" if trusted else own
    if not path.exists() or path.read_text() != pem:
        write_atomic(path, pem.encode())
    return path


def _candidates() -> tuple[str, ...]:
    """Return files with authorities: those this shell was told to trust, unless by us, then the system's."""
    told = [os.environ[name] for name in TRUST_VARIABLES if os.environ.get(name)]
    others = (path for path in told if not Path(path).is_relative_to(state_home()))
    return (*others, ssl.get_default_verify_paths().openssl_cafile, *_SYSTEM_AUTHORITIES)
