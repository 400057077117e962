"""What one look at a host saw, as frozen models; what follows from it is in aiplat.hosts.checks."""

from __future__ import annotations

from pydantic import Field

from aiplat.frozen import Frozen


class Place(Frozen):
    """The file system below a path and what it may do. Sizes in MiB."""

    kind: str = "ext4"
    source: str = ""
    size_mib: int = 0
    free_mib: int = 0
    inodes_free_percent: int = 100
    read_only: bool = False
    noexec: bool = False
    nodev: bool = False
    nosuid: bool = False
    rotating: bool = False


class Link(Frozen):
    """A network card with its addresses (`10.0.0.11/24`)."""

    name: str
    mac: str = ""
    mtu: int = 1500
    up: bool = True
    wireless: bool = False
    addresses: tuple[str, ...] = ()
    dynamic: bool = False
    """Whether DHCP gave an address and may give another."""
    accept_ra: str = ""
    """Whether the kernel follows IPv6 routers' advertisements: `1` not while it forwards, `2` then too."""


class Route(Frozen):
    """A route of the main table; `to` is `default` or a network."""

    to: str
    via: str = ""
    link: str = ""
    metric: int = 0
    advertised: bool = False
    """Whether an IPv6 router said so, and must go on saying so."""


class MachineFacts(Frozen):
    """What a host is made of, and its disks."""

    os_id: str = ""
    os_version: str = ""
    arch: str = ""
    x86_64_level: int = 0
    cpus: int = 0
    cpu_model: str = ""
    memory_mib: int = 0
    available_mib: int = 0
    swap_mib: int = 0
    gpus: tuple[str, ...] = ()
    places: dict[str, Place] = Field(default_factory=dict)
    xfs_without_type: bool = False
    data_is_file: bool = False
    data_real: str = ""
    """Where the site's data folder is once links are followed; empty where the site names none."""
    data_holds: tuple[str, ...] = ()
    """What others have in it under the names that aiplat uses."""
    container: str = ""
    """Which kind of container the host is; empty for a machine."""


class System(Frozen):
    """Its kernel and what runs on it."""

    python: str = ""
    kernel: str = ""
    kernel_modules_there: bool = True
    modules: dict[str, str] = Field(default_factory=dict)
    sysctls: dict[str, str] = Field(default_factory=dict)
    sysctls_overridden: tuple[str, ...] = ()
    sysctls_overridden_ipv6: tuple[str, ...] = ()
    cgroup_version: int = 0
    cgroup_controllers: tuple[str, ...] = ()
    hidepid: bool = False
    selinux: str = ""
    apparmor: bool = False
    apparmor_parser: bool = False
    proxies: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Where proxy variables are set, and which."""
    traces: tuple[str, ...] = ()
    """Telling files and folders that are there."""
    umask: str = "0022"
    locale_works: bool = True
    foreign_k3s: str = ""
    certificates: dict[str, float] = Field(default_factory=dict)
    """Files with certificates of a site or of its k3s, and when each ends, in seconds since the epoch."""
    services: dict[str, str] = Field(default_factory=dict)
    systemd: int = 0
    """systemd's version; 0 where it does not run the host."""
    system_state: str = ""
    clock: float | None = None
    """Seconds since the epoch, by the host."""
    synchronised: bool | None = None


class Network(Frozen):
    """Its names, networks and ports."""

    hostname: str = ""
    machine_id: str = ""
    product_uuid: str = ""
    networkmanager_spares: bool = False
    nameservers: tuple[str, ...] = ()
    nameservers_behind: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    iptables: str = ""
    legacy_tables: tuple[str, ...] = ()
    ufw_enabled: bool = False
    firewalld_flushes: bool = True
    own_addresses: tuple[str, ...] | None = None
    """What its own name resolves to there; None where nobody asked."""
    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    ports: dict[str, str] = Field(default_factory=dict)
    """Ports that are to be used and are taken (`6443/tcp`), with the program that has them."""
    peers: dict[str, str] = Field(default_factory=dict)
    """`address:port` of other hosts, and how it answered."""
    leftover_chains: int = 0


class HostLook(MachineFacts, System, Network):
    """Everything one look saw. Where the host could not be looked at, `problem` and `fix` say why."""

    problem: str = ""
    fix: str = ""
    is_root: bool = True
    clock_off: float | None = None
    """Seconds by which the host's clock is ahead of this machine's."""
    lab: str | None = None
    owner: str | None = None
    """The site whose ledger is on the host; None where aiplat is not on it."""
