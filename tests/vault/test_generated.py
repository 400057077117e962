"""Secrets that components need: made once by kind, kept, and shown to nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

import bcrypt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.vault.generated import Kind, generate
from aiplat.vault.password import PASSWORD_FILE
from aiplat.vault.store import ensure_secrets, read_secrets

HERE = Path(__file__).parent
SITE = Site.model_validate(
    {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Site",
        "name": "ward-3",
        "hosts": [{"name": "s1", "address": "10.0.0.11", "role": "server"}],
    }
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State of its own for each test."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))
    monkeypatch.delenv(PASSWORD_FILE, raising=False)
    return tmp_path


def test_a_key_pair_signs_what_its_public_half_verifies() -> None:
    """Both halves are PEM, as clients of OpenID Connect read them."""
    entries = generate("keyPair").entries
    private = serialization.load_pem_private_key(entries["private.pem"].encode(), None)
    public = serialization.load_pem_public_key(entries["public.pem"].encode())
    assert isinstance(private, rsa.RSAPrivateKey)
    assert isinstance(public, rsa.RSAPublicKey)
    signed = private.sign(b"text", padding.PKCS1v15(), hashes.SHA256())
    public.verify(signed, b"text", padding.PKCS1v15(), hashes.SHA256())


def test_an_htpasswd_line_is_of_its_password() -> None:
    """The line is bcrypt's, which web servers and registries read."""
    entries = generate("htpasswd").entries
    user, _, hashed = entries["htpasswd"].strip().partition(":")
    assert user == entries["username"]
    assert bcrypt.checkpw(entries["password"].encode(), hashed.encode())


@pytest.mark.parametrize("kind", ["password", "token", "apiKey", "htpasswd"])
def test_no_two_secrets_are_alike_and_none_is_shown(kind: Kind) -> None:
    """Neither the representation nor the identity has anything of the secret."""
    one, other = generate(kind), generate(kind)
    assert one.identity != other.identity
    shown = repr(one) + one.identity
    assert not [entry for name, entry in one.entries.items() if entry in shown and name != "username"]


def test_what_is_needed_is_made_once_and_stays() -> None:
    """A component that comes back finds what its data was made with."""
    first = ensure_secrets(SITE, lab=True, needed={"thing/cookie": "token"})
    assert ensure_secrets(SITE, lab=True, needed={"thing/cookie": "token"}) == first
    later = ensure_secrets(SITE, lab=True, needed={"other/key": "apiKey"})
    assert later.generated["thing/cookie"] == first.generated["thing/cookie"]
    assert set(later.generated) == {"thing/cookie", "other/key"}
    assert read_secrets("ward-3") == later
    assert later.identities["component other/key"] == later.generated["other/key"].identity


def test_a_vault_of_the_version_before_opens_and_gains_what_is_new(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was written by a version that generated nothing for components."""
    (state / "password").write_text("of a former version\n")
    monkeypatch.setenv(PASSWORD_FILE, str(state / "password"))
    shutil.copy(HERE / "vault-without-generated.yml", site_dir("ward-3") / "vault.yml")
    before = read_secrets("ward-3")
    assert before is not None
    after = ensure_secrets(SITE, lab=True, needed={"thing/cookie": "token"})
    assert (after.api_key, after.ca, after.postgres_password) == (
        before.api_key,
        before.ca,
        before.postgres_password,
    )
    assert set(after.generated) == {"thing/cookie"}
