"""What is seen in a cluster, as plain frozen objects; reading them from the API's documents is in parse."""

from __future__ import annotations

from dataclasses import dataclass, field

GPU_RESOURCES = "nvidia.com/"
"""What the names of NVIDIA's resources begin with: whole cards, shares of them, MIG instances."""
SIMULATED_GPU = "aiplat.dev/simulated-gpu"
"""The label of a node whose GPUs are made up by a device plugin of tests."""


@dataclass(frozen=True)
class Node:
    """A machine of the cluster; `problem` is empty when it is ready, `pressures` say what it is short of.

    `gpus` are what it offers of NVIDIA's resources, by name, without those of which it has none.
    """

    name: str
    ready: bool
    version: str
    address: str
    problem: str = ""
    pressures: tuple[str, ...] = ()
    gpus: dict[str, int] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def simulates_gpus(self) -> bool:
        """Whether what it offers as GPUs are none: a device plugin of tests made them up."""
        return SIMULATED_GPU in self.labels


@dataclass(frozen=True)
class Workload:
    """A Deployment, StatefulSet or DaemonSet; `problem` is Kubernetes' word on why it is not available."""

    kind: str
    namespace: str
    name: str
    wanted: int
    available: int
    settled: bool
    labels: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def is_available(self) -> bool:
        """Whether as many pods as wanted serve, all of the newest form."""
        return self.settled and self.available >= self.wanted

    @property
    def title(self) -> str:
        """The workload as people write it, `deployment/name`."""
        return f"{self.kind.lower()}/{self.name}"


@dataclass(frozen=True)
class Pod:
    """A pod; `problem` is why it does not run, in one sentence, empty when it does.

    `restarts` is how often its containers were started again; `ended` when one last ended before that (UTC,
    as the API writes it) and `end` why; both empty where none did. `gpus` are what it has of NVIDIA's
    resources, by name.
    """

    namespace: str
    name: str
    node: str
    phase: str
    ready: bool
    images: tuple[str, ...]
    labels: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    restarts: int = 0
    ended: str = ""
    end: str = ""
    gpus: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class HelmRelease:
    """The newest revision of a Helm release, as Helm stores it; `inputs` is aiplat's label, or empty."""

    namespace: str
    name: str
    revision: int
    status: str
    inputs: str = ""


@dataclass(frozen=True)
class NetworkPolicy:
    """A network policy; `selects_all` when it holds for every pod of its namespace."""

    namespace: str
    name: str
    selects_all: bool
    denies_ingress: bool
    denies_egress: bool


@dataclass(frozen=True)
class Service:
    """A Service; `address` is its cluster IP, empty when it has none. `node_ports` are open on every host.

    `given` is the address or name that a load balancer gave it, empty where none did.
    """

    namespace: str
    name: str
    address: str
    ports: tuple[int, ...]
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    node_ports: tuple[int, ...] = ()
    given: str = ""


@dataclass(frozen=True)
class Ran:
    """A command that ran in a pod."""

    code: int
    output: str
