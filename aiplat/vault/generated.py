"""Secrets that components need, by kind: how each is made; which there are is in component.yaml."""

from __future__ import annotations

import secrets
from typing import Literal

import bcrypt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import Field

from aiplat.content import digest_of
from aiplat.frozen import Frozen

Kind = Literal["password", "token", "keyPair", "htpasswd", "apiKey"]
OF_COMPONENT = "component "
"""How the names of the identities of generated secrets begin."""

_USER = "admin"
# NIST SP 800-57 part 1, table 2: as strong as 128 bits.
_RSA_BITS = 3072


class Generated(Frozen):
    """A secret that was generated for a component: its entries by name, as a Kubernetes Secret has them."""

    kind: Kind
    entries: dict[str, str] = Field(repr=False)

    @property
    def identity(self) -> str:
        """A digest that is safe to show: every kind has more than 128 random bits."""
        return digest_of(sorted(self.entries.items()))


def generated_identity(name: str) -> str:
    """Return under which name the identity of a generated secret is known."""
    return OF_COMPONENT + name


def generate(kind: Kind) -> Generated:
    """Return a new secret of a kind."""
    return Generated(kind=kind, entries=_MAKERS[kind]())


def new_password() -> str:
    """Return a password of 192 random bits."""
    return secrets.token_urlsafe(24)


def new_api_key() -> str:
    """Return an API key."""
    return f"sk-aiplat-{secrets.token_urlsafe(32)}"


def _key_pair() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {"private.pem": private.decode(), "public.pem": public.decode()}


def _htpasswd() -> dict[str, str]:
    password = new_password()
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode()
    return {"username": _USER, "password": password, "htpasswd": f"{_USER}:{hashed}\n"}


_MAKERS = {
    "password": lambda: {"password": new_password()},
    "token": lambda: {"token": secrets.token_hex(32)},
    "apiKey": lambda: {"key": new_api_key()},
    "keyPair": _key_pair,
    "htpasswd": _htpasswd,
}
