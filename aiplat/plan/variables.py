"""Fills the variables of every role from a site and its lock; comparing with a host is aiplat.plan.make's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Network, ip_network

from aiplat.catalog.artifacts import Artifact, Lock
from aiplat.catalog.catalog import Catalog
from aiplat.catalog.gpu_hosts import OPERATOR
from aiplat.catalog.resolve import components_on
from aiplat.hosts.paths import paths_of
from aiplat.plan.authentication import KnownPeople, people
from aiplat.plan.gpu_roles import gpu_roles
from aiplat.plan.gpu_sharing import gpu_sharing
from aiplat.plan.gpus import COMPONENT as GPUS
from aiplat.plan.models import Facts
from aiplat.plan.packages import content_digest, packages_in
from aiplat.plan.releases import namespaces_of, releases_of, served_weights
from aiplat.plan.role_variables import (
    NOT_YET,
    Content,
    HostPrepare,
    K3sAgent,
    K3sServer,
    PlaneRelease,
    RoleVariables,
    SiteRegistry,
)
from aiplat.plan.staging import served, wanted_artifacts
from aiplat.site.addresses import in_url
from aiplat.site.models import Host, Site

REGISTRY_PORT = 5443
_UNIQUE_LOCAL = IPv6Network("fc00::/7")
PACKAGES_COMPONENT = "host-packages"
X86_64_LEVEL = 3
"""What the supply `packages` builds for; upstream's own files run on any processor."""


@dataclass(frozen=True)
class PublicParts:
    """What others may see of a site's secrets: certificates (PEM) and the digest of each secret by name.

    `rotations` are sentences for inputs that differ because a secret is rotated.
    """

    ca_certificate: str = NOT_YET
    registry_certificate: str = NOT_YET
    identities: Mapping[str, str] = field(default_factory=dict)
    rotations: Mapping[str, str] = field(default_factory=dict)


def role_variables(
    site: Site, lock: Lock, catalog: Catalog, public: PublicParts, facts: Facts | None = None
) -> dict[str, tuple[RoleVariables, ...]]:
    """Return each host's role variables, in the order the roles run; `facts` are what was seen, if it was."""
    return {
        host.name: (
            _host_prepare(host, lock, public),
            *gpu_roles(site, host, lock, facts),
            *_of_cluster(site, host, lock, catalog, public),
        )
        for host in site.hosts
    }


def _of_cluster(
    site: Site, host: Host, lock: Lock, catalog: Catalog, public: PublicParts
) -> list[RoleVariables]:
    if host.role == "agent":
        return [_k3s_agent(site, host, lock)]
    on = components_on(site, catalog)
    known = people(site, on, public.ca_certificate)
    variables: list[RoleVariables] = [_site_registry(host, lock, public)]
    variables.append(_k3s_server(site, host, lock, known))
    if host == site.servers[0]:
        operator = next((c for c in on if c.name == OPERATOR), None)
        variables += gpu_sharing(site, (operator.namespace or "") if operator else None)
        variables.append(_plane_release(site, lock, catalog, public))
    return variables


def k3s_variables(site: Site, host: Host, lock: Lock) -> K3sServer | K3sAgent:
    """Return the variables of the role that makes a host a node."""
    if host.role == "server":
        return _k3s_server(site, host, lock, KnownPeople())
    return _k3s_agent(site, host, lock)


def packages_of(host: Host, lock: Lock) -> list[Artifact]:
    """Return the packages of the operating system that are brought to a host, without those for its GPUs."""
    every = [a for a in wanted_artifacts(host, lock) if a.kind == "hostfile" and a.component != GPUS]
    return [a for a in every if a.os or a.component == PACKAGES_COMPONENT]


def x86_64_level(host: Host, lock: Lock) -> int:
    """Return the x86-64 level that a host's processor must reach; 0 where any will do."""
    return X86_64_LEVEL if lock.supply == "packages" and host.arch == "amd64" else 0


def _host_prepare(host: Host, lock: Lock, public: PublicParts) -> HostPrepare:
    return HostPrepare(
        paths=paths_of(host.data_dir),
        ca_certificate=public.ca_certificate,
        packages=tuple(package for artifact in packages_of(host, lock) for package in packages_in(artifact)),
        lab_only=any(a.lab_only for a in lock.artifacts),
        x86_64_level=x86_64_level(host, lock),
    )


def _site_registry(host: Host, lock: Lock, public: PublicParts) -> SiteRegistry:
    return SiteRegistry(
        paths=paths_of(host.data_dir),
        binary=content_digest(lock.hostfile("registry", host.arch)),
        certificate=public.registry_certificate,
        address=in_url(host.node_ip),
        port=REGISTRY_PORT,
        content=tuple(_content(a) for a in served(lock)),
    )


def _content(artifact: Artifact) -> Content:
    # containerd asks a mirror for the path alone; a tag may not have a `+`.
    repository = artifact.name.partition("/")[2]
    manifest = artifact.digest or artifact.inputs
    # An upstream's index keeps its digest, whatever it names for other platforms.
    blobs = tuple(blob.digest for blob in artifact.blobs) if artifact.platforms else ()
    tag = artifact.version.replace("+", "_")
    return Content(repository=repository, tag=tag, manifest=manifest, blobs=blobs)


def _k3s_server(site: Site, host: Host, lock: Lock, known: KnownPeople) -> K3sServer:
    names = {name for s in site.servers for name in (s.address, *s.node_ips, s.name)}
    return K3sServer(
        paths=paths_of(host.data_dir),
        binary=content_digest(lock.hostfile("k3s", host.arch)),
        node_ip=",".join(host.node_ips),
        registry_endpoints=_registry_endpoints(site),
        tls_san=tuple(sorted({*names, site.endpoint, site.domain})),
        cluster_cidr=",".join(site.cluster.pod_networks),
        service_cidr=",".join(site.cluster.service_networks),
        ipv6_masquerade=_hides_ipv6(site),
        disable=_left_out(site),
        interface=host.interface or "",
        resolvers=site.cluster.k3s.resolvers,
        kubelet_args=site.cluster.k3s.kubelet_args,
        api_server_args=site.cluster.k3s.api_server_args,
        secrets_encryption=site.cluster.k3s.secrets_encryption,
        audit=site.cluster.k3s.audit,
        pod_security=site.cluster.k3s.pod_security,
        knows_people=bool(known.config),
        authentication=known.config,
        issuer_host=known.issuer_host,
        issuer_address=known.issuer_address,
    )


def _hides_ipv6(site: Site) -> bool:
    """Whether pods have IPv6 addresses of a unique local network, to which nobody outside has a way back."""
    networks = (ip_network(text) for text in site.cluster.pod_networks)
    return any(isinstance(n, IPv6Network) and n.subnet_of(_UNIQUE_LOCAL) for n in networks)


PACKAGED: tuple[str, ...] = K3sServer.model_fields["disable"].default
"""What k3s packages and a site may have or not; components of the resource plane go by these names."""


def packaged_on(site: Site) -> tuple[str, ...]:
    """Return the components k3s packages that a site asks for."""
    asked = site.planes.get("resource", {})
    return tuple(name for name in PACKAGED if name in asked and asked[name].state == "on")


def _left_out(site: Site) -> tuple[str, ...]:
    on = packaged_on(site)
    return tuple(name for name in PACKAGED if name not in on)


def _k3s_agent(site: Site, host: Host, lock: Lock) -> K3sAgent:
    return K3sAgent(
        paths=paths_of(host.data_dir),
        binary=content_digest(lock.hostfile("k3s", host.arch)),
        node_ip=",".join(host.node_ips),
        registry_endpoints=_registry_endpoints(site),
        server_url=f"https://{in_url(site.servers[0].node_ip)}:6443",
        token_file=paths_of(site.servers[0].data_dir).token,
        interface=host.interface or "",
        resolvers=site.cluster.k3s.resolvers,
        kubelet_args=site.cluster.k3s.kubelet_args,
    )


def _registry_endpoints(site: Site) -> tuple[str, ...]:
    return tuple(f"https://{in_url(server.node_ip)}:{REGISTRY_PORT}" for server in site.servers)


def _plane_release(site: Site, lock: Lock, catalog: Catalog, public: PublicParts) -> PlaneRelease:
    return PlaneRelease(
        paths=paths_of(site.servers[0].data_dir),
        helm=content_digest(lock.hostfile("helm", site.servers[0].arch)),
        namespaces=namespaces_of(site, catalog),
        releases=releases_of(site, lock, catalog, public.identities),
        models=served_weights(site, lock, catalog),
    )
