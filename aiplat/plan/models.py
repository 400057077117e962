"""Facts, Ledger, Step and Plan as frozen models; computing a plan from them is in aiplat.plan.make."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from aiplat.content import digest_of
from aiplat.frozen import Frozen
from aiplat.gpu.host import GpuSeen
from aiplat.hosts.facts import HostLook


class ManagedFile(Frozen):
    """A file a role manages, as it was when the role finished."""

    sha256: str
    mode: str


class MadeObject(Frozen):
    """An object of the cluster as a release made it: a digest of what is wanted of it."""

    release: str
    digest: str


class LedgerStep(Frozen):
    """What one finished step left on a host and from which inputs (name → digest) it did so."""

    inputs: dict[str, str] = Field(default_factory=dict)
    files: dict[str, ManagedFile] = Field(default_factory=dict)
    dirs: tuple[str, ...] = ()
    links: dict[str, str] = Field(default_factory=dict)
    units: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    objects: dict[str, MadeObject] = Field(default_factory=dict)


class Before(Frozen):
    """What Kubernetes changes by itself, as it was before: kernel settings, and nftables tables by name."""

    sysctls: dict[str, str] = Field(default_factory=dict)
    tables: tuple[str, ...] = ()


class Ledger(Frozen):
    """/var/lib/aiplat/ledger.json: everything aiplat changed on a host.

    `cluster` is the identity of an existing cluster, whose ledger is in the site's state.
    """

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Ledger"] = "Ledger"
    site: str
    steps: dict[str, LedgerStep] = Field(default_factory=dict)
    before: Before | None = None
    cluster: str = ""


class ReleaseState(Frozen):
    """A Helm release as seen in the cluster."""

    name: str
    namespace: str
    revision: int
    status: str
    inputs: str = ""


class Running(Frozen):
    """What a process was started with: `content` is the input `start`, `files` their sha256 or `none`."""

    content: str = ""
    files: dict[str, str] = Field(default_factory=dict)


class HostFacts(Frozen):
    """What one probe call saw on a host. Sizes in MiB.

    `data_dir` is the data folder by the host's own record.
    `interfaces` are addresses by interface; `node_password` says whether the host can show the password that
    its node has in a cluster. `nodes`, `nodes_ready` and `releases` are the cluster's, as its server sees it.
    """

    host: str
    reachable: bool
    problem: str = ""
    os_id: str = ""
    os_version: str = ""
    os_codename: str = ""
    arch: str = ""
    x86_64_level: int = 0
    cpus: int = 0
    memory_mib: int = 0
    disk_free_mib: int = 0
    data_dir: str = ""
    is_root: bool = False
    lab: str | None = None
    default_route: bool = False
    ledger: Ledger | None = None
    drift: tuple[str, ...] = ()
    blobs: tuple[str, ...] = ()
    units: dict[str, dict[str, str]] = Field(default_factory=dict)
    running: dict[str, Running] = Field(default_factory=dict)
    interfaces: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    node_password: bool = False
    nodes: tuple[str, ...] = ()
    nodes_ready: tuple[str, ...] = ()
    releases: tuple[ReleaseState, ...] = ()
    gpu: GpuSeen | None = None
    """What was seen of its GPUs; None where the site does not have aiplat look after any."""
    look: HostLook | None = None
    """What the checks of hosts judge by; None where nobody looked."""


class Facts(Frozen):
    """What was seen on all hosts of a site."""

    hosts: tuple[HostFacts, ...]

    def host(self, name: str) -> HostFacts:
        """Return one host's facts.

        Raises:
            KeyError: no such host was looked at.
        """
        for facts in self.hosts:
            if facts.host == name:
                return facts
        raise KeyError(name)


class Step(Frozen):
    """One thing to do on some hosts, and why.

    `id` is also the name of the play or Python action that does it. `reason` is one sentence per host.
    `inputs` (host → name → digest) is what the role records in the ledger when it finishes.
    """

    id: str
    title: str
    hosts: tuple[str, ...]
    reason: dict[str, str]
    restarts: tuple[str, ...] = ()
    bytes_to_move: int = 0
    inputs: dict[str, dict[str, str]] = Field(default_factory=dict)


class Plan(Frozen):
    """The ordered steps that take the hosts from what was seen to what is wanted."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["Plan"] = "Plan"
    site: str
    verb: str
    steps: tuple[Step, ...]
    based_on: dict[str, str]

    @property
    def nothing_to_do(self) -> bool:
        """Whether the hosts already are as wanted."""
        return not self.steps

    @property
    def digest(self) -> str:
        """Identity of the plan: its steps and the digests of the site, lock and facts it used."""
        document: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        return digest_of(document)
