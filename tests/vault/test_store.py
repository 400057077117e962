"""A site's vault on disk: what is in the file, who can read it, when it changes."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from pydantic import ValidationError

from aiplat.content import sha256_bytes
from aiplat.errors import BadInput
from aiplat.site.models import Site
from aiplat.state import site_dir
from aiplat.vault.password import PASSWORD_FILE, vault_password
from aiplat.vault.store import (
    SiteSecrets,
    ensure_secrets,
    gateway_names,
    give_secret,
    read_secrets,
    take_export,
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """State of its own for each test."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path))
    monkeypatch.delenv(PASSWORD_FILE, raising=False)
    return tmp_path


def site(domain: str | None = None) -> Site:
    """A site of one server."""
    return Site.model_validate(
        {
            "apiVersion": "aiplat.dev/v1alpha1",
            "kind": "Site",
            "name": "ward-3",
            "cluster": {"domain": domain},
            "hosts": [{"name": "s1", "address": "10.0.0.11", "role": "server"}],
        }
    )


def test_secrets_are_made_once() -> None:
    """A second call returns the same secrets and leaves the file alone."""
    first = ensure_secrets(site(), lab=True)
    written = (site_dir("ward-3") / "vault.yml").read_bytes()
    assert ensure_secrets(site(), lab=True) == first
    assert (site_dir("ward-3") / "vault.yml").read_bytes() == written


def test_vault_file_is_encrypted_and_private() -> None:
    """The file is ansible-vault's, mode 0600, and shows none of the secrets."""
    made = ensure_secrets(site(), lab=True)
    path = site_dir("ward-3") / "vault.yml"
    text = path.read_text()
    assert text.startswith("$ANSIBLE_VAULT;1.1;AES256")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((path.parent / "vault-password").stat().st_mode) == 0o600
    assert made.api_key not in text
    assert made.k3s_token not in text


def test_ca_certificate_lies_beside_without_its_key() -> None:
    """Clients need the CA's certificate; its key is in the vault alone."""
    made = ensure_secrets(site(), lab=True)
    folder = site_dir("ward-3")
    assert (folder / "ca.crt").read_text() == made.ca.crt
    others = [p for p in folder.rglob("*") if p.is_file()]
    assert not [p for p in others if b"PRIVATE KEY" in p.read_bytes()]


def test_secrets_are_long_and_of_the_expected_form() -> None:
    """The API key has its prefix; the k3s token is the short form, which a first server must get."""
    made = ensure_secrets(site(), lab=True)
    assert made.api_key.startswith("sk-aiplat-")
    assert len(made.api_key) > 40
    assert not made.k3s_token.startswith("K10")
    assert len(made.k3s_token) == 64


def test_nothing_secret_is_in_the_representation() -> None:
    """A traceback that shows the secrets shows none of them, nor do their identities."""
    made = ensure_secrets(site(), lab=True)
    shown = repr(made) + str(made.identities)
    for secret in (made.api_key, made.k3s_token, made.postgres_password, "PRIVATE"):
        assert secret not in shown


def test_certificates_are_renewed_in_time_and_the_rest_stays() -> None:
    """Less than 120 days before the end leaves are made again; CA, keys and token are not."""
    first = ensure_secrets(site(), lab=True)
    late = datetime.now(UTC) + timedelta(days=730 - 119)
    second = ensure_secrets(site(), lab=True, now=late)
    assert second.gateway.expires > first.gateway.expires
    assert second.registry != first.registry
    assert (second.ca, second.api_key, second.k3s_token) == (first.ca, first.api_key, first.k3s_token)
    assert read_secrets("ward-3") == second


def test_new_domain_gets_new_certificates() -> None:
    """What certificates speak for follows the site."""
    ensure_secrets(site(), lab=True)
    made = ensure_secrets(site("new.example"), lab=True)
    assert "*.new.example" in made.gateway.names
    assert set(made.gateway.names) == set(gateway_names(site("new.example")))


def test_wrong_password_is_said_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that does not open the vault names the file and the way out."""
    ensure_secrets(site(), lab=True)
    (tmp_path / "pw").write_text("wrong\n")
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "pw"))
    with pytest.raises(BadInput, match=r"vault\.yml: cannot be opened .* AIPLAT_VAULT_PASSWORD_FILE"):
        read_secrets("ward-3")


def test_password_file_is_used_for_a_site_of_real_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variable set nothing is generated beside the vault."""
    (tmp_path / "pw").write_text("right\n")
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "pw"))
    made = ensure_secrets(site(), lab=False)
    assert not (site_dir("ward-3") / "vault-password").exists()
    assert read_secrets("ward-3") == made


def test_site_of_real_hosts_without_password_or_keyring_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No silent fallback to a file for a site that is not a lab."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    with pytest.raises(BadInput, match=r"no password: no keyring here; write one into a file"):
        ensure_secrets(site(), lab=False)


def test_vault_of_a_newer_aiplat_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A format this version does not know is not guessed at."""
    made = ensure_secrets(site(), lab=True)
    newer = made.model_copy(update={"api_version": "aiplat.dev/v9"})
    monkeypatch.setattr("aiplat.vault.store._generated", lambda _site, _now: newer)
    (site_dir("ward-3") / "vault.yml").unlink()
    ensure_secrets(site(), lab=True)
    with pytest.raises(BadInput, match=r"has apiVersion 'aiplat.dev/v9'"):
        read_secrets("ward-3")


def _sealed(plain: bytes) -> None:
    """Write a vault of this site by hand."""
    sealed = VaultLib().encrypt(plain, secret=VaultSecret(vault_password("ward-3")))
    (site_dir("ward-3") / "vault.yml").write_bytes(sealed)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"newSecret": "DO NOT SHOW"}, "holds what this aiplat does not know (newSecret)"),
        ({"ca": "DO NOT SHOW"}, "holds what this aiplat does not know (ca)"),
        ({"given": {"mail": {"value": ["DO NOT SHOW"]}}}, "given.mail.value"),
    ],
)
def test_what_is_not_known_of_a_vault_is_named_without_its_value(more: dict[str, Any], said: str) -> None:
    """A newer aiplat may have written it; its secrets reach no terminal and no log."""
    made = ensure_secrets(site(), lab=True)
    _sealed(json.dumps(made.model_dump(mode="json", by_alias=True) | more).encode())
    with pytest.raises(BadInput) as told:
        read_secrets("ward-3")
    assert said in str(told.value)
    assert "DO NOT SHOW" not in str(told.value)


@pytest.mark.parametrize("plain", [b"DO NOT SHOW", b'["DO NOT SHOW"]', b'"DO NOT SHOW"', b"[" * 200_000])
def test_a_vault_that_holds_something_else_is_refused(plain: bytes) -> None:
    """It opens, and what is in it is not a site's secrets; nothing of it is shown."""
    ensure_secrets(site(), lab=True)
    _sealed(plain)
    with pytest.raises(BadInput, match=r"vault\.yml: holds") as told:
        read_secrets("ward-3")
    assert "DO NOT SHOW" not in str(told.value)
    (export := site_dir("ward-3") / "export").write_bytes(VaultLib().encrypt(plain, secret=VaultSecret(b"x")))
    with pytest.raises(BadInput, match="is not an exported vault"):
        take_export(site(), export, b"x", lab=True)


def test_no_documents_error_shows_its_values() -> None:
    """Whichever document it is: errors reach logs, and what stands in the wrong place may be a secret."""
    with pytest.raises(ValidationError) as told:
        SiteSecrets.model_validate({"k3s_token": ["DO NOT SHOW"], "more": "DO NOT SHOW"})
    assert "DO NOT SHOW" not in str(told.value)


def test_secrets_survive_the_round_trip() -> None:
    """What was written is what is read."""
    made = ensure_secrets(site(), lab=True)
    read = read_secrets("ward-3")
    assert isinstance(read, SiteSecrets)
    assert read == made


def test_a_given_secret_is_kept_and_changes_its_revision_with_its_value() -> None:
    """The same value again changes nothing, not even the file; the revision tells nothing of the value."""
    made = ensure_secrets(site(), lab=True)
    assert give_secret("ward-3", made, "hub", "first")
    first = read_secrets("ward-3")
    assert first
    assert first.given["hub"].value == "first"
    assert not give_secret("ward-3", first, "hub", "first")
    assert give_secret("ward-3", first, "hub", "second")
    second = read_secrets("ward-3")
    assert second
    assert second.identities["secret hub"] != first.identities["secret hub"]
    assert give_secret("ward-3", second, "hub", "first")
    third = read_secrets("ward-3")
    assert third
    assert third.identities["secret hub"] not in (first.identities["secret hub"], sha256_bytes(b"first"))


def test_a_given_secret_is_shown_nowhere_and_outlives_renewals() -> None:
    """Neither the file nor a representation has it; generated secrets stay as they are."""
    made = ensure_secrets(site(), lab=True)
    give_secret("ward-3", made, "hub", "hunter2")
    kept = ensure_secrets(site("other.internal"), lab=True)
    assert "hunter2" not in repr(kept) + (site_dir("ward-3") / "vault.yml").read_text()
    assert (kept.given["hub"].value, kept.api_key) == ("hunter2", made.api_key)
    assert give_secret("ward-3", kept, "hub", None)
    assert read_secrets("ward-3") == kept.model_copy(update={"given": {}})
