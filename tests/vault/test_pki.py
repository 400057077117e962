"""The site CA and its certificates, as OpenSSL and Python's TLS see them."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from aiplat.vault.pki import KeyPair, issue, make_ca, still_good

NAMES = ("10.0.0.11", "s1", "ward-3.internal", "*.ward-3.internal")


@pytest.fixture(scope="module")
def ca() -> KeyPair:
    """A CA of a site."""
    return make_ca("ward-3")


def test_ca_is_p256_and_lasts_ten_years(ca: KeyPair) -> None:
    """The CA outlives many leaves and cannot sign another CA."""
    assert isinstance(ca.certificate.public_key(), ec.EllipticCurvePublicKey)
    years = (ca.expires - datetime.now(UTC)).days / 365.25
    assert 9.9 < years < 10.1


def test_leaf_speaks_for_all_names_two_years(ca: KeyPair) -> None:
    """Addresses and names, wildcards too, are what the leaf speaks for."""
    leaf = issue(ca, "gateway", NAMES)
    assert leaf.names == tuple(sorted(NAMES))
    assert 729 <= (leaf.expires - datetime.now(UTC)).days <= 730


@pytest.mark.parametrize("name", ["10.0.0.11", "s1", "portal.ward-3.internal"])
def test_tls_client_that_trusts_the_ca_accepts_the_leaf(ca: KeyPair, tmp_path: Path, name: str) -> None:
    """A strict TLS client reaches the server under every name it is to have."""
    assert _handshake(ca, issue(ca, "gateway", NAMES), tmp_path, name) == ""


def test_tls_client_refuses_another_name(ca: KeyPair, tmp_path: Path) -> None:
    """A name the leaf does not speak for is refused."""
    assert "mismatch" in _handshake(ca, issue(ca, "gateway", NAMES), tmp_path, "elsewhere.internal")


def test_tls_client_refuses_another_ca(ca: KeyPair, tmp_path: Path) -> None:
    """A leaf of another site's CA is refused."""
    other = issue(make_ca("ward-4"), "gateway", NAMES)
    assert "verify failed" in _handshake(ca, other, tmp_path, "s1")


def test_leaf_is_renewed_under_120_days(ca: KeyPair) -> None:
    """119 days before the end a leaf is no longer good, 121 days before it is."""
    leaf = issue(ca, "gateway", NAMES)
    assert still_good(leaf, NAMES, leaf.expires - timedelta(days=121))
    assert not still_good(leaf, NAMES, leaf.expires - timedelta(days=119))


def test_leaf_is_renewed_when_names_change(ca: KeyPair) -> None:
    """A new server's address has to be in the certificate."""
    assert not still_good(issue(ca, "gateway", NAMES), (*NAMES, "10.0.0.12"))


def test_key_is_not_in_the_representation(ca: KeyPair) -> None:
    """A traceback or a log that shows the pair shows no key."""
    assert "PRIVATE" not in repr(ca)


def _handshake(ca: KeyPair, leaf: KeyPair, folder: Path, name: str) -> str:
    """Return the client's complaint, empty when it is content."""
    (folder / "leaf.pem").write_text(leaf.crt + leaf.key)
    server_side, client_side = socket.socketpair()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "leaf.pem")
    client = ssl.create_default_context(cadata=ca.crt)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    thread = threading.Thread(target=_serve, args=(server, server_side))
    thread.start()
    try:
        with client.wrap_socket(client_side, server_hostname=name):
            return ""
    except ssl.SSLCertVerificationError as error:
        return str(error)
    finally:
        client_side.close()
        thread.join()


def _serve(context: ssl.SSLContext, side: socket.socket) -> None:
    try:
        context.wrap_socket(side, server_side=True).close()
    except OSError:
        side.close()
