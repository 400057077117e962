"""The Site as frozen pydantic models; rules that need more than one field are in aiplat.site.rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from aiplat.site.addresses import listed
from aiplat.site.gpu_settings import GpuSettings, GpuSharing, GpuUse, settings_of, sharing_of
from aiplat.site.sign_in import CompanySignIn
from aiplat.site.strict import Strict
from aiplat.site.systems import Arch, OsName

Rfc1123Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]

PLANES = (
    "resource",
    "platform",
    "data",
    "model",
    "data-modelling",
    "integration-delivery",
    "access",
    "service",
    "user-serving",
    "quality",
    "compliance",
)


class Ssh(Strict):
    """How to reach a host; everything left out is ssh's own default."""

    user: str | None = None
    """Login name; root, or one that may use sudo."""
    port: int | None = Field(default=None, ge=1, le=65535, strict=True)
    """TCP port of the host's ssh server."""
    key: Path | None = None
    """Private key file; `~` is your home, a relative path starts at the site file's folder."""
    jump: tuple[str, ...] = ()
    """Jump hosts on the way, first one first, each `user@host:port`; user and port may be left out."""
    tunnel: Literal["auto", "always", "never"] = "auto"
    """Whether you reach its other ports through ssh; `auto`: where a jump host is on the way."""


class HardwareSettings(Strict):
    """What a machine has, for answers about machines that are not there yet."""

    gpus: tuple[str, ...] = ()
    """Its GPUs by name, one each (`RTX 4090`)."""
    cpu: str = ""
    """Its processor by name; left out, what it computes alone has no speed."""
    memory_gib: int = Field(default=64, gt=0, alias="memoryGiB", strict=True)
    """Its memory in GiB."""


class CostSettings(Strict):
    """Prices for `aiplat fit --site`; what is left out has a default, with source and date."""

    electricity: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """EUR for a kWh."""
    years: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Years over which machines are written off, in equal parts."""
    machine: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """EUR for a machine without its GPUs."""
    gpus: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    """EUR for a GPU, by its name as under `hardware`."""


class Host(Strict):
    """One machine of the site."""

    name: Rfc1123Label
    """Name of the host and of its Kubernetes node."""
    address: str = Field(json_schema_extra={"minLength": 1})
    """IP address or DNS name under which you reach it; with `nodeAddress` also a name of ~/.ssh/config."""
    node_address: str | None = Field(default=None, alias="nodeAddress", json_schema_extra={"minLength": 1})
    """IP address under which the other hosts reach it, or one of each family; left out, `address`."""
    interface: str | None = Field(default=None, json_schema_extra={"minLength": 1, "maxLength": 15})
    """Network card for what pods of different hosts say to each other; left out, the node address' own."""
    role: Literal["server", "agent"]
    """A server runs Kubernetes' control plane (and workloads); an agent runs workloads only."""
    ssh: Ssh = Ssh()
    """How to reach the host; left out, ssh's own configuration decides."""
    arch: Arch = "amd64"
    """Its processor architecture; what is brought to the host is chosen by it."""
    data_dir: str | None = Field(default=None, alias="dataDir", json_schema_extra={"minLength": 2})
    """Folder for all that grows: content, images, volumes, k3s' data; left out, folders below /var/lib."""
    os: OsName | None = None
    """Its operating system (`debian-12`): packages it may lack are carried for it; left out, none are."""
    gpu: GpuUse = "auto"
    """`auto` uses the GPUs that are found, `none` leaves them alone; a map says how each is shared."""
    accept: tuple[str, ...] = ()
    """Checks of hosts whose troubles are known and accepted; `aiplat doctor hosts` names each check."""
    hardware: HardwareSettings = HardwareSettings()
    """What the machine has, for `aiplat fit --site`; installing looks at the machine itself."""

    @property
    def node_ips(self) -> tuple[str, ...]:
        """The addresses among nodes, one of each of the cluster's families, in their order."""
        return listed(self.node_address or self.address)

    @property
    def node_ip(self) -> str:
        """The first of them; a DNS name, where the site gives no other, is refused by the plan."""
        return self.node_ips[0]

    @property
    def has_gpus(self) -> bool:
        """Whether it is said to have GPUs that are to be used."""
        return bool(self.hardware.gpus) and self.gpu != "none"

    @property
    def gpu_settings(self) -> GpuSettings:
        """How its GPUs are used."""
        return settings_of(self.gpu)

    def takes(self, when: str) -> bool:
        """Whether packages are for it by what it says of its GPUs; `when` is an artifact's."""
        settings = self.gpu_settings
        of_driver = settings.driver == "bundle" and when == f"gpu-{settings.modules}"
        of_switches = when == "gpu-fabric" and settings.driver == "bundle" and settings.fabric_manager
        return not when.startswith("gpu") or (self.has_gpus and (when == "gpu" or of_driver or of_switches))

    @property
    def sharing(self) -> GpuSharing:
        """How each of its GPUs is shared."""
        return sharing_of(self.gpu)


class K3sSettings(Strict):
    """How Kubernetes itself runs; most of it can be changed later, at the price of a restart."""

    resolvers: tuple[str, ...] | None = None
    """Name servers that pods ask for outside names; `[]` for nobody, left out those of each host."""
    kubelet_args: tuple[str, ...] = Field(default=(), alias="kubeletArgs")
    """Further arguments of the kubelet, `name=value`."""
    api_server_args: tuple[str, ...] = Field(default=(), alias="apiServerArgs")
    """Further arguments of the API server, `name=value`."""
    secrets_encryption: Literal["aescbc", "secretbox"] = Field(default="aescbc", alias="secretsEncryption")
    """How Secrets are encrypted in the datastore; a running cluster keeps what it began with."""
    audit: bool = Field(default=False, strict=True)
    """Whether the API server writes down who changed what, in k3s' folder `server/logs`."""
    pod_security: Literal["privileged", "baseline", "restricted"] = Field(
        default="privileged", alias="podSecurity"
    )
    """What pods of namespaces that say nothing themselves may do (Pod Security Standards)."""


class ClusterSettings(Strict):
    """Networks and names of the Kubernetes cluster, or which one there is already."""

    existing: Path | None = None
    """Kubeconfig of a cluster that is there already, which the platform goes into; then no `hosts`."""
    context: str | None = Field(default=None, json_schema_extra={"minLength": 1})
    """Which context of that file; left out, its current one."""
    registry: str | None = Field(default=None, json_schema_extra={"minLength": 1})
    """Where the existing cluster's nodes pull from and you may push: `registry.example:5000/aiplat`."""
    registry_ca: Path | None = Field(default=None, alias="registryCA")
    """File with the CA certificate (PEM) of that registry, if your machine does not trust it anyway."""
    load: Literal["kind", "k3d"] | None = None
    """In place of a registry: the tool that made the existing cluster brings images into its nodes."""
    service_type: Literal["ClusterIP", "LoadBalancer", "NodePort"] | None = Field(
        default=None, alias="serviceType"
    )
    """How the existing cluster offers the gateway: inside alone (left out), by a load balancer, on nodes."""

    pod_cidr: str = Field(default="10.42.0.0/16", alias="podCIDR")
    """Network of the pods, or one of each family (`10.42.0.0/16,fd42::/56`); a host takes a /24, a /64."""
    service_cidr: str = Field(default="10.43.0.0/16", alias="serviceCIDR")
    """Network of the services' virtual addresses, or one of each family in the order of podCIDR."""
    domain: str | None = None
    """The site's outer DNS domain; left out, `<name>.internal`."""
    endpoint: str | None = None
    """Name or address under which the platform is reached; left out, the first server's address.

    In an existing cluster: left out, the site's domain.
    """
    k3s: K3sSettings = K3sSettings()
    """How Kubernetes itself runs."""

    @property
    def offers_gateway_by(self) -> str:
        """The type of the gateway's Service in an existing cluster."""
        return self.service_type or "ClusterIP"

    @property
    def pod_networks(self) -> tuple[str, ...]:
        """The networks of the pods, the first of the family that comes first everywhere."""
        return listed(self.pod_cidr)

    @property
    def service_networks(self) -> tuple[str, ...]:
        """The networks of the services, in the order of the pods'."""
        return listed(self.service_cidr)


Profile = Literal["small", "medium"]


class ComponentSetting(Strict):
    """What the site asks of one component."""

    state: Literal["on", "off"] = "on"
    """Whether the component is installed."""
    profile: Profile | None = None
    """The size it is run in; left out, the site's."""
    values: dict[str, Any] = Field(default_factory=dict)
    """Values for the component's chart, over aiplat's own; a secret is `{fromSecret: NAME}`."""


Feature = Literal["completion", "chat", "embedding", "tools", "vision"]
ModelFormat = Literal["gguf", "safetensors", "pickle"]


class SiteModel(Strict):
    """A model the site serves."""

    name: str
    """Name or alias in the catalogue (`aiplat catalog models`)."""
    engine: str = ""
    """The engine that serves it (`aiplat catalog`); left out, the first one that has the model."""
    serve: bool = Field(default=True, strict=True)
    """Whether the site serves it by itself; if not, the bundle holds it for Model objects that ask for it."""
    source: Path | None = Field(default=None, alias="from")
    """Your own weights: a GGUF file or its folder, or a folder of safetensors; relative to the site file."""
    licence: str = ""
    """Licence of your own weights: SPDX (`Apache-2.0`), or a name of charts/model/licences.yaml (`gemma`)."""
    features: tuple[Feature, ...] = ()
    """What your own weights can do; left out, what their files say."""


class UpstreamCredential(Strict):
    """Who asks an upstream host; the secret itself is never in the file."""

    user: str = ""
    """User name; left out, the secret is a token that is sent as it is."""
    env: str | None = Field(default=None, json_schema_extra={"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"})
    """Environment variable that holds the password or token."""
    keyring: str | None = None
    """Service under which your keyring holds it; its user there is `user`, else the host's name."""


class Upstream(Strict):
    """How the projects' own releases are reached."""

    mirrors: dict[str, str] = Field(default_factory=dict)
    """Your own copy of a host's content, by the host's name (`docker.io: https://mirror.example/docker`)."""
    ca: Path | None = None
    """File with further CA certificates (PEM) that may sign for those hosts."""
    proxy: str | None = None
    """Proxy for all of it; left out, HTTPS_PROXY, HTTP_PROXY and NO_PROXY decide."""
    no_proxy: tuple[str, ...] = Field(default=(), alias="noProxy")
    """Hosts that are reached without `proxy`."""
    credentials: dict[str, UpstreamCredential] = Field(default_factory=dict)
    """Who asks which host, by the name of the host that is really asked, or of the proxy."""
    concurrency: int = Field(default=4, ge=1, le=32, strict=True)
    """How many things are fetched at once."""


class TrustSettings(Strict):
    """Whose signature a bundle must have before anything of it is used."""

    signers: Path | None = None
    """List of those who may sign (ssh-keygen's ALLOWED SIGNERS); left out, no signature is asked for."""


class Site(Strict):
    """The whole desired world of one site."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(alias="apiVersion")
    """Version of this format."""
    kind: Literal["Site"]
    """What this file is."""
    name: Rfc1123Label
    """Name of the site; its state on your machine is kept under it."""
    supply: str = Field(default="auto", json_schema_extra={"pattern": "^(auto|upstream|packages|bundle:.+)$"})
    """Where artifacts come from: auto, upstream, packages, or a ready bundle as bundle:PATH."""
    trust: TrustSettings = TrustSettings()
    """Whose signature the bundle must have."""
    upstream: Upstream = Upstream()
    """How the projects' own releases are reached, where artifacts come from there."""
    cluster: ClusterSettings = ClusterSettings()
    """Networks and names of the cluster."""
    hosts: tuple[Host, ...] = ()
    """The machines; an odd number of them, at most seven, are servers. None in an existing cluster."""
    planes: dict[str, dict[str, ComponentSetting]] = Field(
        default_factory=dict, json_schema_extra={"propertyNames": {"enum": list(PLANES)}}
    )
    """Settings by plane and component (`aiplat catalog`)."""
    profile: Profile = "small"
    """The size of components: `small` for machines under a desk, `medium` for servers that many share."""
    models: tuple[SiteModel, ...] = ()
    """The models that are served."""
    model_formats: tuple[ModelFormat, ...] = Field(default=("gguf", "safetensors"), alias="modelFormats")
    """Formats of weights that a bundle may hold; a pickle that is allowed is scanned, and refused by name."""
    sign_in: CompanySignIn | None = Field(default=None, alias="signIn")
    """The company's own sign-in; left out, people have accounts in the component `canaille`, if it is on."""
    costs: CostSettings = CostSettings()
    """What machines and electricity cost, for `aiplat fit --site`."""

    @property
    def is_guest(self) -> bool:
        """Whether the cluster is one that aiplat did not make: no host is aiplat's to change."""
        return self.cluster.existing is not None

    @property
    def place(self) -> str:
        """What verbs look at and change, in words."""
        return "the cluster" if self.is_guest else "the hosts"

    @property
    def domain(self) -> str:
        """The site's outer DNS domain; defaults to `<name>.internal`."""
        return self.cluster.domain or f"{self.name}.internal"

    def host(self, name: str) -> Host:
        """Return one host by its name.

        Raises:
            KeyError: the site has no such host.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)

    @property
    def servers(self) -> tuple[Host, ...]:
        """Hosts that run the control plane, in the order of the file."""
        return tuple(h for h in self.hosts if h.role == "server")

    @property
    def served(self) -> tuple[SiteModel, ...]:
        """The models that the site serves by itself, in the order of the file."""
        return tuple(m for m in self.models if m.serve)

    @property
    def agents(self) -> tuple[Host, ...]:
        """Hosts that only run workloads."""
        return tuple(h for h in self.hosts if h.role == "agent")

    @property
    def endpoint(self) -> str:
        """Name or address under which the platform is reached; defaults to the first server's address.

        Where there is no host, to the site's domain.
        """
        return self.cluster.endpoint or (self.servers[0].address if self.servers else self.domain)
