"""What a run works with, gathered once; carrying a plan out with it is in aiplat.runs.execute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiplat.bundle.bundle import Bundle
from aiplat.catalog.artifacts import Lock
from aiplat.catalog.catalog import Catalog
from aiplat.content import sha256_bytes
from aiplat.plan.models import Facts
from aiplat.plan.releases import cluster_secrets, private_values
from aiplat.plan.variables import PublicParts
from aiplat.site.models import Site
from aiplat.vault.rotation import pending
from aiplat.vault.store import SiteSecrets


@dataclass(frozen=True)
class RunContext:
    """Everything a run works with; `facts` are those the plan was made from."""

    site: Site
    lock: Lock
    catalog: Catalog
    facts: Facts
    secrets: SiteSecrets
    bundle: Bundle

    @property
    def public(self) -> PublicParts:
        """The parts of the secrets that plans and hosts may see."""
        return public_parts(self.secrets)


def public_parts(secrets: SiteSecrets | None) -> PublicParts:
    """Return what others may see of a site's secrets; placeholders where there are none yet."""
    if secrets is None:
        return PublicParts()
    return PublicParts(
        ca_certificate=secrets.authorities,
        registry_certificate=secrets.registry.crt,
        identities=secrets.identities,
        rotations=_rotations(secrets),
    )


def _rotations(secrets: SiteSecrets) -> dict[str, str]:
    """Return what a plan says of inputs that differ because of a rotation."""
    said = {f"secret:{name}": sentence for name, sentence in pending(secrets).items()}
    if "secret:ca" in said:
        said["variable:ca_certificate"] = said.pop("secret:ca")
    return said


def private_variables(context: RunContext) -> dict[str, Any]:
    """Return what the private file holds: ansible variable → value. Never to be shown or logged."""
    secrets = context.secrets
    former = secrets.former.get("k3s token")
    given = {name: secret.value for name, secret in secrets.given.items()}
    seen_by_templates = {
        "api_keys_sha256": [sha256_bytes(key.encode()).removeprefix("sha256:") for key in secrets.api_keys],
        "ca": {"crt": secrets.ca.crt},
        "gateway": {"crt": secrets.gateway.crt, "key": secrets.gateway.key},
        "registry": {"crt": secrets.registry.crt},
        "postgres_password": secrets.postgres_password,
        "generated": {name: made.entries for name, made in secrets.generated.items()},
        "trusted": secrets.authorities,
        "given": given,
    }
    rendered = cluster_secrets(
        context.site, context.lock, context.catalog, secrets.identities, seen_by_templates
    )
    return {
        "site_registry_key": secrets.registry.key,
        "k3s_server_token": secrets.k3s_token,
        "k3s_server_former_token": former.value if former else "",
        "plane_release_secrets": rendered,
        "plane_release_private_values": private_values(
            context.site, context.lock, context.catalog, secrets.identities, given
        ),
    }
