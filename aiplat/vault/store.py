"""A site's secrets: generated once, kept encrypted, renewed in time; who uses them is not known here."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ansible.parsing.vault import AnsibleVaultError, VaultLib, VaultSecret
from pydantic import Field

from aiplat.content import sha256_bytes, write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.frozen import Frozen
from aiplat.site.models import Site
from aiplat.site.references import identity_name
from aiplat.state import site_dir
from aiplat.vault.password import PASSWORD_FILE, vault_password
from aiplat.vault.pki import KeyPair, issue, make_ca, still_good

_VERSION = "aiplat.dev/v1alpha1"


class GivenSecret(Frozen):
    """A secret that somebody gave aiplat to keep; `revision` is random and changes with the value."""

    value: str = Field(repr=False)
    revision: str
    since: datetime


class SiteSecrets(Frozen):
    """Everything of a site that others must not see, generated or given by name; `repr` shows none of it."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Vault"] = "Vault"
    k3s_token: str = Field(repr=False)
    ca: KeyPair
    registry: KeyPair
    gateway: KeyPair
    api_key: str = Field(repr=False)
    postgres_password: str = Field(repr=False)
    given: dict[str, GivenSecret] = Field(default_factory=dict)

    @property
    def identities(self) -> dict[str, str]:
        """Name → digest of what each secret is, safe to show: certificates as they are, the rest by hash.

        The hashed ones are random and longer than 128 bits, so the digest gives nothing away. What people
        give may be short, so it has a random identity: `secret NAME`.
        """
        return {identity_name(name): secret.revision for name, secret in self.given.items()} | {
            "ca": sha256_bytes(self.ca.crt.encode()),
            "registry certificate": sha256_bytes(self.registry.crt.encode()),
            "gateway certificate": sha256_bytes(self.gateway.crt.encode()),
            "api key": sha256_bytes(self.api_key.encode()),
            "k3s token": sha256_bytes(self.k3s_token.encode()),
            "postgres password": sha256_bytes(self.postgres_password.encode()),
        }


def certificate_names(site: Site) -> tuple[str, ...]:
    """Return what the certificates speak for: servers' addresses and names, endpoint, domain, *.domain."""
    servers = [name for host in site.servers for name in (host.address, host.name)]
    return tuple(sorted({*servers, site.endpoint, site.domain, f"*.{site.domain}", "localhost", "127.0.0.1"}))


def read_secrets(site: str) -> SiteSecrets | None:
    """Return a site's secrets, or None where none were generated yet.

    Raises:
        BadInput: the vault cannot be opened with the password at hand, or is newer than this program.
    """
    path = _vault_file(site)
    if not path.exists():
        return None
    return _parse(path, _decrypt(path, vault_password(site)))


def ensure_secrets(site: Site, *, lab: bool, now: datetime | None = None) -> SiteSecrets:
    """Return a site's secrets, generating missing ones and renewing certificates under 120 days.

    Writes vault.yml (0600, encrypted) and ca.crt beside it only when something changed.
    """
    known = read_secrets(site.name)
    wanted = _renewed(site, known, now) if known else _generated(site, now)
    ca_file = site_dir(site.name) / "ca.crt"
    if wanted != known:
        _write(site.name, wanted, vault_password(site.name, lab=lab, create=known is None))
    if not ca_file.exists() or ca_file.read_text(encoding="utf-8") != wanted.ca.crt:
        write_atomic(ca_file, wanted.ca.crt.encode())
    return wanted


def give_secret(site: str, known: SiteSecrets, name: str, value: str | None) -> bool:
    """Keep a secret under a name, or with None keep it no longer; say whether anything changed."""
    given = dict(known.given)
    before = given.pop(name, None)
    if (before.value if before else None) == value:
        return False
    if value is not None:
        now = datetime.now(UTC).replace(microsecond=0)
        given[name] = GivenSecret(value=value, revision=secrets.token_hex(16), since=now)
    _write(site, known.model_copy(update={"given": given}), vault_password(site))
    return True


def _generated(site: Site, now: datetime | None) -> SiteSecrets:
    ca = make_ca(site.name, now)
    names = certificate_names(site)
    return SiteSecrets(
        k3s_token=secrets.token_hex(32),
        ca=ca,
        registry=issue(ca, f"registry of {site.name}", names, now),
        gateway=issue(ca, f"gateway of {site.name}", names, now),
        api_key=f"sk-aiplat-{secrets.token_urlsafe(32)}",
        postgres_password=secrets.token_urlsafe(24),
    )


def _renewed(site: Site, known: SiteSecrets, now: datetime | None) -> SiteSecrets:
    names = certificate_names(site)
    fresh = {
        which: issue(known.ca, f"{which} of {site.name}", names, now)
        for which in ("registry", "gateway")
        if not still_good(getattr(known, which), names, now)
    }
    return known.model_copy(update=fresh) if fresh else known


def _write(site: str, wanted: SiteSecrets, password: bytes) -> None:
    plain = wanted.model_dump_json(by_alias=True).encode()
    sealed: bytes = VaultLib().encrypt(plain, secret=VaultSecret(password))
    write_atomic(_vault_file(site), sealed, mode=0o600)


def _decrypt(path: Path, password: bytes) -> bytes:
    try:
        opened: bytes = VaultLib([("default", VaultSecret(password))]).decrypt(path.read_bytes())
    except AnsibleVaultError as error:
        fix = f"set {PASSWORD_FILE} to the file that holds the password it was made with"
        raise BadInput(Finding(str(path), "cannot be opened with the password at hand", fix)) from error
    return opened


def _parse(path: Path, plain: bytes) -> SiteSecrets:
    document = json.loads(plain)
    if document.get("apiVersion") != _VERSION:
        problem = f"has apiVersion {document.get('apiVersion')!r}, this aiplat knows {_VERSION}"
        raise BadInput(Finding(str(path), problem, "use a newer aiplat"))
    return SiteSecrets.model_validate(document)


def _vault_file(site: str) -> Path:
    return site_dir(site) / "vault.yml"
