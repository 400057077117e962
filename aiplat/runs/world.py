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
from aiplat.vault.store import SiteSecrets


@dataclass(frozen=True)
class World:
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
        ca_certificate=secrets.ca.crt,
        registry_certificate=secrets.registry.crt,
        identities=secrets.identities,
    )


def private_variables(world: World) -> dict[str, Any]:
    """Return what the private file holds: ansible variable → value. Never to be shown or logged."""
    secrets = world.secrets
    seen_by_templates = {
        "api_key": secrets.api_key,
        "api_key_sha256": sha256_bytes(secrets.api_key.encode()).removeprefix("sha256:"),
        "ca": {"crt": secrets.ca.crt},
        "gateway": {"crt": secrets.gateway.crt, "key": secrets.gateway.key},
        "registry": {"crt": secrets.registry.crt},
        "postgres_password": secrets.postgres_password,
    }
    given = {name: secret.value for name, secret in secrets.given.items()}
    rendered = cluster_secrets(world.site, world.lock, world.catalog, secrets.identities, seen_by_templates)
    return {
        "site_registry_key": secrets.registry.key,
        "k3s_server_token": secrets.k3s_token,
        "plane_release_secrets": rendered,
        "plane_release_private_values": private_values(
            world.site, world.lock, world.catalog, secrets.identities, given
        ),
    }
