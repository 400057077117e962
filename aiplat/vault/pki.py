"""The site CA and the certificates it signs; where keys are kept is aiplat.vault.store's matter."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import BaseModel, ConfigDict, Field

CA_LIFE = timedelta(days=3652)
LEAF_LIFE = timedelta(days=730)
RENEW_BEFORE = timedelta(days=120)
WARN_BEFORE = timedelta(days=30)
"""When people are told of a certificate's end; what a bootstrap renews by itself is new long before."""
# Clocks of hosts that never saw the Internet are off by minutes.
_BACKDATE = timedelta(hours=1)


class KeyPair(BaseModel):
    """A certificate and its private key, both PEM."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    crt: str
    key: str = Field(repr=False)

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate, parsed."""
        return x509.load_pem_x509_certificate(self.crt.encode())

    @property
    def expires(self) -> datetime:
        """When the certificate stops being valid (UTC)."""
        return self.certificate.not_valid_after_utc

    @property
    def names(self) -> tuple[str, ...]:
        """Names and addresses the certificate speaks for, sorted."""
        found = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return tuple(sorted(str(name.value) for name in found))


def make_ca(site: str, now: datetime | None = None) -> KeyPair:
    """Return a new self-signed CA for a site: EC P-256, 10 years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"aiplat site CA {site}")])
    builder = (
        _builder(name, name, key.public_key(), now or datetime.now(UTC), CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _pair(builder.sign(key, hashes.SHA256()), key)


def issue(ca: KeyPair, common_name: str, names: Iterable[str], now: datetime | None = None) -> KeyPair:
    """Return a new server certificate signed by `ca` for `names` (DNS, wildcards, addresses); 2 years."""
    signer = serialization.load_pem_private_key(ca.key.encode(), None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the site CA's key is not an EC key")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in sorted(set(names))])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = (
        _builder(subject, ca.certificate.subject, key.public_key(), now or datetime.now(UTC), LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority, critical=False)
    )
    return _pair(builder.sign(signer, hashes.SHA256()), key)


def still_good(
    leaf: KeyPair, names: Iterable[str], now: datetime | None = None, ca: KeyPair | None = None
) -> bool:
    """Whether a leaf speaks for exactly `names`, stays valid for another 120 days and is this CA's."""
    remaining = leaf.expires - (now or datetime.now(UTC))
    right = remaining >= RENEW_BEFORE and set(leaf.names) == set(names)
    return right and (ca is None or _signed_by(leaf, ca))


def _signed_by(leaf: KeyPair, ca: KeyPair) -> bool:
    try:
        leaf.certificate.verify_directly_issued_by(ca.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + life)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return KeyPair(crt=certificate.public_bytes(pem).decode(), key=private.decode())
