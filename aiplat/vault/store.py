"""A site's secrets: generated once, kept encrypted, renewed in time; who uses them is not known here."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ansible.parsing.vault import AnsibleVaultError, VaultLib, VaultSecret
from pydantic import Field, ValidationError

from aiplat.content import parsed_json, sha256_bytes, write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.frozen import Frozen
from aiplat.site.models import Site
from aiplat.site.references import identity_name
from aiplat.state import site_dir
from aiplat.vault.generated import (
    Generated,
    Kind,
    generate,
    generated_identity,
    new_api_key,
    new_password,
)
from aiplat.vault.password import PASSWORD_FILE, vault_password
from aiplat.vault.pki import KeyPair, issue, make_ca, still_good

GATEWAY_SERVICE = ("gateway.aiplat-access", "gateway.aiplat-access.svc")
"""The gateway's names in the cluster: its Service's."""

_VERSION = "aiplat.dev/v1alpha1"
_EXPORT = "VaultExport"
_OTHER_PASSWORD = f"set {PASSWORD_FILE} to the file that holds the password it was made with"


class GivenSecret(Frozen):
    """A secret that somebody gave aiplat to keep; `revision` is random and changes with the value."""

    value: str = Field(repr=False)
    revision: str
    since: datetime


class Former(Frozen):
    """What a secret was before it was rotated, until nothing needs it any more.

    `made`: the new one is in the vault alone. `installed`: the new one is in use and the former still good.
    `proven`: the new one was seen to work; the former is withdrawn by the next run.
    """

    value: str = Field(repr=False)
    stage: Literal["made", "installed", "proven"] = "made"


class SiteSecrets(Frozen):
    """Everything of a site that others must not see, generated or given by name; `repr` shows none of it.

    `generated` is what components need, by names such as `thing/cookie`. It stays when a component leaves:
    its data may still be there.
    `former` is what was rotated, by the name of its identity; `retired` are digests of the k3s tokens that
    the site had before, by which an older copy of a vault is known.
    """

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Vault"] = "Vault"
    k3s_token: str = Field(repr=False)
    ca: KeyPair
    registry: KeyPair
    gateway: KeyPair
    api_key: str = Field(repr=False)
    postgres_password: str = Field(repr=False)
    generated: dict[str, Generated] = Field(default_factory=dict)
    given: dict[str, GivenSecret] = Field(default_factory=dict)
    former: dict[str, Former] = Field(default_factory=dict)
    retired: tuple[str, ...] = ()

    @property
    def key_in_use(self) -> str:
        """The API key that the site knows now: a new one is used once a run has brought it there."""
        before = self.former.get("api key")
        return before.value if before and before.stage == "made" else self.api_key

    @property
    def api_keys(self) -> tuple[str, ...]:
        """The API keys that are to be accepted, the newest first."""
        return (self.api_key, *self._still_good("api key"))

    @property
    def authorities(self) -> str:
        """The certificates (PEM) of the CAs that are to be trusted, the newest first."""
        return "".join((self.ca.crt, *self._still_good("ca")))

    def _still_good(self, name: str) -> tuple[str, ...]:
        before = self.former.get(name)
        return (before.value,) if before and before.stage != "proven" else ()

    @property
    def identities(self) -> dict[str, str]:
        """Name → digest of what each secret is, safe to show: certificates as they are, the rest by hash.

        The hashed ones are random and longer than 128 bits, so the digest gives nothing away. What people
        give may be short, so it has a random identity: `secret NAME`.
        """
        of_components = {generated_identity(name): made.identity for name, made in self.generated.items()}
        of_people = {identity_name(name): secret.revision for name, secret in self.given.items()}
        return (
            of_components
            | of_people
            | {
                "ca": sha256_bytes(self.ca.crt.encode()),
                "registry certificate": sha256_bytes(self.registry.crt.encode()),
                "gateway certificate": sha256_bytes(self.gateway.crt.encode()),
                "api key": sha256_bytes("\n".join(self.api_keys).encode()),
                "k3s token": token_identity(self.k3s_token),
                "postgres password": sha256_bytes(self.postgres_password.encode()),
            }
        )


def certificate_names(site: Site) -> tuple[str, ...]:
    """Return what the certificates speak for: servers' addresses and names, endpoint, domain, *.domain."""
    servers = [name for host in site.servers for name in (host.address, *host.node_ips, host.name)]
    return tuple(sorted({*servers, site.endpoint, site.domain, f"*.{site.domain}", "localhost", "127.0.0.1"}))


def gateway_names(site: Site) -> tuple[str, ...]:
    """Return what the gateway's certificate speaks for: the site's names, and those that pods use."""
    return tuple(sorted({*certificate_names(site), *GATEWAY_SERVICE}))


def read_secrets(site: str) -> SiteSecrets | None:
    """Return a site's secrets, or None where none were generated yet.

    Raises:
        BadInput: the vault cannot be opened with the password at hand, or is newer than this program.
    """
    path = _vault_file(site)
    if not path.exists():
        return None
    return _parse(path, _decrypt(path, vault_password(site)))


def ensure_secrets(
    site: Site, *, lab: bool, needed: Mapping[str, Kind] | None = None, now: datetime | None = None
) -> SiteSecrets:
    """Return a site's secrets, generating missing ones and renewing certificates under 120 days.

    `needed` is what components need, by name; see `SiteSecrets.generated`. Writes vault.yml (0600, encrypted)
    and ca.crt beside it only when something changed.
    """
    known = read_secrets(site.name)
    wanted = _with_needed(renewed(site, known, now) if known else _generated(site, now), needed or {})
    if wanted != known:
        write_secrets(site.name, wanted, vault_password(site.name, lab=lab, create=known is None))
    else:
        _write_authorities(site.name, wanted)
    return wanted


def _with_needed(known: SiteSecrets, needed: Mapping[str, Kind]) -> SiteSecrets:
    missing = {name: generate(kind) for name, kind in needed.items() if name not in known.generated}
    return known.model_copy(update={"generated": known.generated | missing}) if missing else known


def _write_authorities(site: str, secrets: SiteSecrets) -> None:
    path = site_dir(site) / "ca.crt"
    if not path.exists() or path.read_text(encoding="utf-8") != secrets.authorities:
        write_atomic(path, secrets.authorities.encode())


def give_secret(site: str, known: SiteSecrets, name: str, value: str | None) -> bool:
    """Keep a secret under a name, or with None keep it no longer; say whether anything changed."""
    given = dict(known.given)
    before = given.pop(name, None)
    if (before.value if before else None) == value:
        return False
    if value is not None:
        now = datetime.now(UTC).replace(microsecond=0)
        given[name] = GivenSecret(value=value, revision=secrets.token_hex(16), since=now)
    write_secrets(site, known.model_copy(update={"given": given}), vault_password(site))
    return True


def seal_export(site: str, known: SiteSecrets, password: bytes) -> bytes:
    """Return a site's secrets as a file for another machine, encrypted with a password of its own."""
    document = {
        "apiVersion": _VERSION,
        "kind": _EXPORT,
        "site": site,
        "vault": known.model_dump(mode="json", by_alias=True),
    }
    sealed: bytes = VaultLib().encrypt(json.dumps(document).encode(), secret=VaultSecret(password))
    return sealed


def take_export(site: Site, path: Path, password: bytes, *, lab: bool) -> bool:
    """Make an exported file the site's vault; say whether anything changed.

    Raises:
        BadInput: it cannot be opened or is another site's, or the site has a vault with other secrets here.
    """
    opened = _decrypt(path, password, "the password it was exported with is another one")
    try:
        document = parsed_json(opened)
    except ValueError:
        document = None
    if not isinstance(document, dict) or "vault" not in document:
        raise BadInput(Finding(str(path), "is not an exported vault", "name the file that was exported"))
    if document.get("kind") != _EXPORT or document.get("site") != site.name:
        problem = f"is of the site {document.get('site')}, not of {site.name}"
        raise BadInput(Finding(str(path), problem, "name the file that was exported for this site"))
    wanted, known = _parse_document(path, document["vault"]), read_secrets(site.name)
    _refuse_to_lose(_vault_file(site.name), known, wanted)
    if wanted == known:
        return False
    write_secrets(site.name, wanted, vault_password(site.name, lab=lab, create=known is None))
    return True


def _refuse_to_lose(vault: Path, known: SiteSecrets | None, wanted: SiteSecrets) -> None:
    """Stop before a vault is replaced by another site's, or by an older one of the same site."""
    if known is None or token_identity(known.k3s_token) in {
        token_identity(wanted.k3s_token),
        *wanted.retired,
    }:
        return
    if token_identity(wanted.k3s_token) in known.retired:
        problem, fix = "is newer than this file: its k3s token was rotated since", "export it again"
    else:
        problem = "holds other secrets than this file"
        fix = "move it away if nothing was installed with it, then import again"
    raise BadInput(Finding(str(vault), problem, fix))


def token_identity(token: str) -> str:
    """Return what others may see of a k3s token."""
    return sha256_bytes(token.encode())


def _generated(site: Site, now: datetime | None) -> SiteSecrets:
    ca = make_ca(site.name, now)
    names = certificate_names(site)
    return SiteSecrets(
        k3s_token=new_token(),
        ca=ca,
        registry=issue(ca, f"registry of {site.name}", names, now),
        gateway=issue(ca, f"gateway of {site.name}", gateway_names(site), now),
        api_key=new_api_key(),
        postgres_password=new_password(),
    )


def new_token() -> str:
    """Return a token for k3s: the short form, which a first server must get."""
    return secrets.token_hex(32)


def renewed(site: Site, known: SiteSecrets, now: datetime | None = None) -> SiteSecrets:
    """Return the secrets with good certificates: for the site's names, by its CA, for 120 days and more."""
    names_of = {"registry": certificate_names(site), "gateway": gateway_names(site)}
    fresh = {
        which: issue(known.ca, f"{which} of {site.name}", names, now)
        for which, names in names_of.items()
        if not still_good(getattr(known, which), names, now, known.ca)
    }
    return known.model_copy(update=fresh) if fresh else known


def write_secrets(site: str, wanted: SiteSecrets, password: bytes) -> None:
    """Write a site's secrets: vault.yml (0600, encrypted), and beside it ca.crt, which clients trust."""
    plain = wanted.model_dump_json(by_alias=True).encode()
    sealed: bytes = VaultLib().encrypt(plain, secret=VaultSecret(password))
    write_atomic(_vault_file(site), sealed, mode=0o600)
    _write_authorities(site, wanted)


def _decrypt(path: Path, password: bytes, fix: str = _OTHER_PASSWORD) -> bytes:
    try:
        opened: bytes = VaultLib([("default", VaultSecret(password))]).decrypt(path.read_bytes())
    except OSError as error:
        raise BadInput(
            Finding(str(path), f"cannot be read ({error.strerror})", "name another file")
        ) from error
    except AnsibleVaultError as error:
        raise BadInput(Finding(str(path), "cannot be opened with the password at hand", fix)) from error
    return opened


def _parse(path: Path, plain: bytes) -> SiteSecrets:
    try:
        return _parse_document(path, parsed_json(plain))
    except ValueError:
        raise BadInput(Finding(str(path), "holds no secrets but something else", _OTHER_PASSWORD)) from None


def _parse_document(path: Path, document: Any) -> SiteSecrets:
    version = document.get("apiVersion") if isinstance(document, dict) else None
    if isinstance(version, str) and version != _VERSION:
        problem = f"has apiVersion {version!r}, this aiplat knows {_VERSION}"
        raise BadInput(Finding(str(path), problem, "use a newer aiplat"))
    try:
        return SiteSecrets.model_validate(document)
    except ValidationError as error:
        # The places alone: what stands there is secret.
        places = ", ".join(sorted({".".join(map(str, e["loc"])) or "all of it" for e in error.errors()}))
        problem = f"holds what this aiplat does not know ({places})"
        raise BadInput(Finding(str(path), problem, "use the aiplat that wrote it, or a newer one")) from None


def _vault_file(site: str) -> Path:
    return site_dir(site) / "vault.yml"
