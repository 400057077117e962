"""When the certificates that a site shows end; renewing them is aiplat.vault's, or k3s' own."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from aiplat.errors import AiplatError
from aiplat.state import site_dir
from aiplat.vault.pki import WARN_BEFORE
from aiplat.verify.check import Skipped, fail_on
from aiplat.verify.context import CheckContext

_SECONDS = 5.0
_GATEWAY, _REGISTRY, _KUBERNETES = 443, 5443, 6443
_BOOTSTRAP = "`aiplat bootstrap` renews it"


def certificates_last(context: CheckContext) -> str:
    """Look at what the gateway, the registries and the Kubernetes API show, and at the site's CA."""
    if not _authority(context).exists():
        # Whatever is shown at the site's addresses is somebody else's.
        raise Skipped("the site has no CA yet")
    seen = list(_seen(context))
    soon = datetime.now(UTC) + WARN_BEFORE
    fail_on([f"{name} ends on {end:%Y-%m-%d}; {fix}" for name, end, fix in seen if end < soon])
    return f"the first of {len(seen)} ends on {min(end for _, end, _ in seen):%Y-%m-%d}"


def _seen(context: CheckContext) -> Iterator[tuple[str, datetime, str]]:
    """Yield what ends when, and who renews it."""
    shown = [("the gateway's certificate", context.site.endpoint, _GATEWAY, _BOOTSTRAP)]
    for host in context.site.servers:
        restart = f"restart k3s on {host.name}, which renews it (`systemctl restart k3s`)"
        shown.append((f"the registry's certificate on {host.name}", host.address, _REGISTRY, _BOOTSTRAP))
        shown.append((f"Kubernetes' certificate on {host.name}", host.address, _KUBERNETES, restart))
    for name, address, port, fix in shown:
        if end := _end_of(context, address, port):
            yield name, end, fix
    # The newest stands first; one that is being withdrawn may end.
    ca = x509.load_pem_x509_certificates(_authority(context).read_bytes())[0]
    yield "the site's CA", ca.not_valid_after_utc, "`aiplat vault rotate ca` makes another"


def _authority(context: CheckContext) -> Path:
    return site_dir(context.site.name) / "ca.crt"


def _end_of(context: CheckContext, address: str, port: int) -> datetime | None:
    """Return when the certificate that is shown there ends; None where nobody shows one."""
    # Whether it is to be trusted is for others to say: one that has ended is looked at too.
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(context.way.to(address, port), timeout=_SECONDS) as connection,
            tls.wrap_socket(connection) as talk,
        ):
            shown = talk.getpeercert(binary_form=True)
    except (OSError, AiplatError):
        return None
    return x509.load_der_x509_certificate(shown).not_valid_after_utc if shown else None
