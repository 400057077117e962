"""The Site as frozen pydantic models; rules that need more than one field are in aiplat.site.rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

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


class Strict(BaseModel):
    """Base of all site models: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Ssh(Strict):
    """How to reach a host; everything left out is ssh's own default."""

    user: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    key: Path | None = None


class Host(Strict):
    """One machine of the site."""

    name: Rfc1123Label
    address: str
    role: Literal["server", "agent"]
    ssh: Ssh = Ssh()
    gpu: Literal["auto", "none"] = "auto"


class Cluster(Strict):
    """Networks and names of the Kubernetes cluster."""

    pod_cidr: str = Field(default="10.42.0.0/16", alias="podCIDR")
    service_cidr: str = Field(default="10.43.0.0/16", alias="serviceCIDR")
    domain: str | None = None
    endpoint: str | None = None


class ComponentSetting(Strict):
    """What the site asks of one component."""

    state: Literal["on", "off"] = "on"
    values: dict[str, Any] = Field(default_factory=dict)


class SiteModel(Strict):
    """A model the site serves."""

    name: str
    engine: Literal["ollama", "vllm"] = "ollama"


class Site(Strict):
    """The whole desired world of one site."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(alias="apiVersion")
    kind: Literal["Site"]
    name: Rfc1123Label
    supply: str = "auto"
    cluster: Cluster = Cluster()
    hosts: tuple[Host, ...]
    planes: dict[str, dict[str, ComponentSetting]] = Field(default_factory=dict)
    models: tuple[SiteModel, ...] = ()

    @property
    def domain(self) -> str:
        """The site's outer DNS domain; defaults to `<name>.internal`."""
        return self.cluster.domain or f"{self.name}.internal"

    @property
    def servers(self) -> tuple[Host, ...]:
        """Hosts that run the control plane, in the order of the file."""
        return tuple(h for h in self.hosts if h.role == "server")

    @property
    def agents(self) -> tuple[Host, ...]:
        """Hosts that only run workloads."""
        return tuple(h for h in self.hosts if h.role == "agent")

    @property
    def endpoint(self) -> str:
        """Name or address under which the platform is reached; defaults to the first server's address."""
        return self.cluster.endpoint or self.servers[0].address
