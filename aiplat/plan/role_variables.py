"""What each role is given, as frozen models its argument spec repeats; values are chosen in aiplat.plan."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from aiplat.frozen import Frozen
from aiplat.hosts.paths import Paths

Sha256 = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
NOT_YET = "not generated yet"
"""Stands for a certificate or a digest of a secret until a run generates it: planning comes before."""
InputsLabel = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{63}$")]


def inputs_label(digest: str) -> str:
    """Return a digest as the value of the label `aiplat.dev/inputs` (Kubernetes allows 63 characters)."""
    return digest.removeprefix("sha256:")[:63]


class RoleVariables(Frozen):
    """Base: a role's public variables. Field `x` of role `r` is the Ansible variable `r_x`.

    Every role also gets `<role>_site` and `<role>_inputs` (name → digest, for the ledger), which the
    inventory takes from the plan, and `<role>_managed` (aiplat.plan.steps). `secrets` names the variables
    that come from the private secrets file.
    """

    role: ClassVar[str]
    secrets: ClassVar[tuple[str, ...]] = ()

    def ansible(self) -> dict[str, Any]:
        """Return the variables under the names Ansible knows them by."""
        return {f"{self.role}_{name}": value for name, value in self.model_dump(mode="json").items()}


class Package(Frozen):
    """A package in the staged blobs; `digest` is that of its file, `needs` what the host must run for it."""

    name: str
    version: str
    digest: Sha256
    needs: Literal["", "selinux", "apparmor"] = ""


class OnHost(RoleVariables):
    """Base of what reads or writes a host's large folders."""

    paths: Paths


class HostPrepare(OnHost):
    """Checks a host, installs its packages, kernel settings and the site's CA."""

    role: ClassVar[str] = "host_prepare"
    ca_certificate: str
    packages: tuple[Package, ...] = ()
    # True when the lock holds the stand-in: it is refused on a host without the lab marker.
    lab_only: bool = False
    x86_64_level: int = 3
    disk_free_mib: int = 4096


class HostGpu(OnHost):
    """Installs NVIDIA's driver and container toolkit. `driver`: it is aiplat's here, not the host's own."""

    role: ClassVar[str] = "host_gpu"
    packages: tuple[Package, ...] = ()
    driver: bool = True
    replace: bool = False
    initramfs: bool = False
    fabric_manager: Literal["on", "off", "leave"] = "leave"
    again: bool = False
    # Units that look for the container runtime when they start.
    restart: tuple[str, ...] = ()


class HostReboot(RoleVariables):
    """Takes a host through a planned reboot; `drain`: it is a node whose pods can go elsewhere."""

    role: ClassVar[str] = "host_reboot"
    drain: bool = False
    node: bool = False


class Content(Frozen):
    """One manifest the registry serves; `repository` is the upstream name without the registry's host.

    `blobs` is what there is of it, where it may be an index that names images for other platforms too.
    """

    repository: str
    tag: str
    manifest: Sha256
    blobs: tuple[Sha256, ...] = ()


class SiteRegistry(OnHost):
    """Serves the staged images, charts and models over TLS, read-only."""

    role: ClassVar[str] = "site_registry"
    secrets: ClassVar[tuple[str, ...]] = ("site_registry_key",)
    binary: Sha256
    certificate: str
    address: str
    port: int = 5443
    content: tuple[Content, ...] = ()


class K3sVariables(OnHost):
    """What servers and agents have in common."""

    binary: Sha256
    # One address, or one of each family with a comma, the cluster's first family first.
    node_ip: str
    registry_endpoints: tuple[str, ...]
    # The network card of the pod network; empty: the one that has the node's address.
    interface: str = ""
    # Whom pods ask for outside names; None: whom the host asks.
    resolvers: tuple[str, ...] | None = None
    node_labels: tuple[str, ...] = ()
    kubelet_args: tuple[str, ...] = ()


class K3sServer(K3sVariables):
    """Runs the control plane. The node's name is the inventory name."""

    role: ClassVar[str] = "k3s_server"
    secrets: ClassVar[tuple[str, ...]] = ("k3s_server_token", "k3s_server_former_token")
    tls_san: tuple[str, ...]
    # Each one network, or one of each family with a comma.
    cluster_cidr: str
    service_cidr: str
    # Whether pods' IPv6 packets leave the cluster with their host's address, as IPv4 ones always do.
    ipv6_masquerade: bool = False
    disable: tuple[str, ...] = ("traefik", "servicelb", "metrics-server")
    api_server_args: tuple[str, ...] = ()
    secrets_encryption: str = "aescbc"
    audit: bool = False
    pod_security: str = "privileged"
    # Whether people of the sign-in are known; by what, the API server reads again by itself.
    knows_people: bool = False
    authentication: str = ""
    # The issuer's name and where the host finds it; empty: DNS knows.
    issuer_host: str = ""
    issuer_address: str = ""


class K3sAgent(K3sVariables):
    """Joins the cluster with the token that the first server wrote."""

    role: ClassVar[str] = "k3s_agent"
    server_url: str
    # Where the first server keeps the token.
    token_file: str


class SharedNode(Frozen):
    """A node with GPUs: `labels` make it offer `resources`; `says` is what that gives and takes."""

    name: str
    labels: dict[str, str]
    resources: dict[str, int]
    says: str


class SharingConfig(Frozen):
    """A ConfigMap whose entries nodes' labels name; one that is not there yet comes with its release."""

    name: str
    namespace: str
    data: dict[str, str]


class SharedGpus(RoleVariables):
    """Makes nodes offer their GPUs as the site says, and watches them then; runs on the first server."""

    role: ClassVar[str] = "gpu_sharing"
    nodes: tuple[SharedNode, ...] = ()
    configs: tuple[SharingConfig, ...] = ()


class Namespace(Frozen):
    """A namespace the platform owns; labels carry the Pod Security level and the plane."""

    name: str
    labels: dict[str, str] = Field(default_factory=dict)


class ReleaseWanted(Frozen):
    """One Helm release. `chart` is the digest of the staged chart archive (the artifact's layer).

    `values` is rendered YAML without secrets. `inputs` is stored as a label with the release: a release
    whose label is equal and whose status is `deployed` is not touched. Equal `order` may run side by side.
    `secret_names` are the secrets that `values` refers to; values with them are in the run's private file.
    """

    name: str
    namespace: str
    order: int
    chart_ref: str
    chart: Sha256
    values: str
    inputs: InputsLabel
    secret_names: tuple[str, ...] = ()
    timeout_seconds: int = 600


class ServedWeights(Frozen):
    """A model that the site serves by itself: its Model's name, and the image of its weights."""

    slug: str
    ref: str


class PlaneRelease(OnHost):
    """Everything the cluster gets by Helm, in order, and the models that are to serve then.

    `plane_release_secrets` is a list of {name, namespace, type, labels, string_data};
    `plane_release_private_values` one of {release, content}, see aiplat.plan.releases. `programs` is the
    folder of helm, `scratch` that of what goes with the run; `kubectl` is the digest of k3s' program where it
    has to be brought too, beside helm: where the cluster is not aiplat's. There `service_type` is how the
    gateway is offered outside.
    """

    role: ClassVar[str] = "plane_release"
    secrets: ClassVar[tuple[str, ...]] = ("plane_release_secrets", "plane_release_private_values")
    helm: Sha256
    kubectl: str = ""
    service_type: str = ""
    programs: str = "/usr/local/lib/aiplat"
    scratch: str = "/run/aiplat"
    namespaces: tuple[Namespace, ...] = ()
    releases: tuple[ReleaseWanted, ...] = ()
    models: tuple[ServedWeights, ...] = ()


class HostReset(OnHost):
    """Takes off the host what the ledger says was put there. `keep_blobs` stay (--keep-models)."""

    role: ClassVar[str] = "host_reset"
    keep_blobs: tuple[Sha256, ...] = ()


class ClusterReset(RoleVariables):
    """Takes everything of aiplat's out of a cluster that it did not make; runs on this machine."""

    role: ClassVar[str] = "cluster_reset"
    blobs: str
    helm: Sha256
    kubectl: Sha256
    programs: str


class NodeDrain(RoleVariables):
    """Takes the pods off a node that is to leave the cluster; runs on the first server."""

    role: ClassVar[str] = "node_drain"
    node: str
    host_is_gone: bool = False


class NodeForget(RoleVariables):
    """Lets the cluster forget a node that has left; runs on the first server."""

    role: ClassVar[str] = "node_forget"
    node: str


ROLES: tuple[type[RoleVariables], ...] = (
    HostPrepare,
    HostGpu,
    HostReboot,
    SiteRegistry,
    K3sServer,
    K3sAgent,
    SharedGpus,
    PlaneRelease,
    HostReset,
    ClusterReset,
    NodeDrain,
    NodeForget,
)
