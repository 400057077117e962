"""A certificate authority of a test's own; who trusts it is the test's business."""

from __future__ import annotations

import ipaddress
import ssl
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CA = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upstreams of a test")])


class Authority:
    """Signs server certificates; `path` is the PEM file that clients trust."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        key_id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = (
            _builder(_CA, self._key.public_key(), timedelta(days=-1), timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(key_id, critical=False)
        )
        self.path.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def context(
        self, names: Iterable[str], start: timedelta = timedelta(days=-1), end: timedelta = timedelta(days=1)
    ) -> ssl.SSLContext:
        """Return a server's TLS context for `names`, valid from now + `start` to now + `end`."""
        path = self.folder / f"server-{uuid.uuid4().hex}.pem"
        path.write_bytes(self.server(names, start, end))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        path.unlink()
        return context

    def server(
        self, names: Iterable[str], start: timedelta = timedelta(days=-1), end: timedelta = timedelta(days=1)
    ) -> bytes:
        """Return a server's private key and its certificate for `names`, as one PEM text."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = (
            _builder(x509.Name([]), key.public_key(), start, end)
            .add_extension(x509.SubjectAlternativeName([_name(n) for n in sorted(names)]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(issuer, critical=False)
        )
        return _private(key) + _pem(builder.sign(self._key, hashes.SHA256()))


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, start: timedelta, end: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_CA)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
    )


def _usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
