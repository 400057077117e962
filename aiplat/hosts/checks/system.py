"""Checks of systemd, security modules, and of settings that trip an installation."""

from __future__ import annotations

from aiplat.hosts.check import BLOCKER, NOTE, WARNING, Fix, SeenHost, check, family_of, install
from aiplat.hosts.paths import SYSTEM_DATA
from aiplat.site.systems import SYSTEMS, Like, system_name


def brought_or(fix: Fix, *families: Like) -> Fix:
    """Return a fix before which stands what makes aiplat bring the package itself, to hosts of these."""

    def first(host: SeenHost) -> str:
        other = fix if isinstance(fix, str) else fix(host)
        system = system_name(host.look.os_id, host.look.os_version)
        known = next((one for name, one in SYSTEMS.items() if name == system), None)
        if known is None or known.like not in families:
            return other
        return f"write `os: {system}` for {host.name} in site.yaml, and it is brought; or {other}"

    return first


OLDEST_SYSTEMD = 244
"""With this release systemd hands the cpuset controller down."""


@check("systemd", BLOCKER, "use a system that systemd runs")
def systemd(host: SeenHost) -> str:
    """Systemd runs the host: it starts Kubernetes and the registry."""
    return "" if host.look.systemd else "systemd does not run this host"


@check("systemd-release", WARNING, "upgrade the system")
def systemd_release(host: SeenHost) -> str:
    """Systemd is 244 or newer."""
    return f"its systemd is {host.look.systemd}" if 0 < host.look.systemd < OLDEST_SYSTEMD else ""


@check("systemd-well", NOTE, "`systemctl --failed` names them", real=True)
def systemd_well(host: SeenHost) -> str:
    """None of the host's own services has failed."""
    return "some of its services have failed" if host.look.system_state == "degraded" else ""


@check(
    "systemd-started",
    WARNING,
    "wait until it has started; `systemctl list-jobs` shows what it waits for",
    real=True,
)
def systemd_started(host: SeenHost) -> str:
    """The host has finished starting and is not going down."""
    state = host.look.system_state
    return (
        f"the system is {state}" if state in ("starting", "initializing", "stopping", "maintenance") else ""
    )


@check("selinux-policy", BLOCKER, brought_or(install("container-selinux"), "rhel"))
def selinux_policy(host: SeenHost) -> str:
    """Where SELinux is enforced, its policy knows containers."""
    if host.look.selinux != "enforcing" or _has_module(host, "container"):
        return ""
    if "container-selinux" in host.needs.brought:
        return ""
    return "SELinux is enforced, and no policy for containers is installed"


@check(
    "selinux-k3s",
    WARNING,
    brought_or("install k3s-selinux of the release's channel (rpm.rancher.io), or `setenforce 0`", "rhel"),
)
def selinux_k3s(host: SeenHost) -> str:
    """Where SELinux is enforced, its policy knows k3s' folders."""
    if host.look.selinux != "enforcing" or _has_module(host, "k3s") or "k3s-selinux" in host.needs.brought:
        return ""
    return "SELinux is enforced, and the policy k3s-selinux is not installed"


def _has_module(host: SeenHost, name: str) -> bool:
    return any(
        p.endswith(f"/{name}") or p.endswith(f"/{name}.pp") for p in host.look.traces if "selinux" in p
    )


@check(
    "apparmor-parser",
    BLOCKER,
    brought_or(install("apparmor", suse="apparmor-parser"), "debian", "ubuntu", "suse"),
)
def apparmor_parser(host: SeenHost) -> str:
    """Where AppArmor is on, the program that loads profiles is there, or no container starts."""
    brought = host.needs.brought & {"apparmor", "apparmor-parser"}
    lost = host.look.apparmor and not host.look.apparmor_parser and not brought
    return "AppArmor is on, and apparmor_parser is not installed" if lost else ""


def _allow(host: SeenHost) -> str:
    data = "/var/lib/rancher" if host.needs.data == SYSTEM_DATA else host.needs.data
    return f"allow {data}/, /usr/local/bin/ and /run/k3s/ in /etc/fapolicyd/rules.d, or stop it"


@check("fapolicyd", BLOCKER, _allow)
def fapolicyd(host: SeenHost) -> str:
    """Nothing forbids programs that no package brought: k3s unpacks its own."""
    return "fapolicyd is active and runs only programs that it knows" if host.active("fapolicyd") else ""


@check(
    "nm-cloud-setup",
    BLOCKER,
    "`systemctl disable --now nm-cloud-setup.service nm-cloud-setup.timer`, then restart",
)
def nm_cloud_setup(host: SeenHost) -> str:
    """nm-cloud-setup is off: it writes routes that break the pods' network."""
    on = host.active("nm-cloud-setup") or host.active("nm-cloud-setup.timer")
    return "nm-cloud-setup is active" if on else ""


@check(
    "networkmanager",
    WARNING,
    "write `[keyfile]` and `unmanaged-devices=interface-name:cni*;interface-name:flannel*` "
    "to /etc/NetworkManager/conf.d/k3s.conf, then `systemctl reload NetworkManager`",
)
def networkmanager(host: SeenHost) -> str:
    """NetworkManager leaves the pods' links alone."""
    lost = host.active("NetworkManager") and not host.look.networkmanager_spares
    return "NetworkManager takes the pods' links for its own" if lost else ""


@check(
    "cloud-init",
    NOTE,
    "see that it keeps name and addresses: `preserve_hostname: true`; or turn it off",
    real=True,
)
def cloud_init(host: SeenHost) -> str:
    """No cloud-init resets name, users and networks at each start."""
    return (
        "cloud-init is installed and may change name and network at a start"
        if host.trace("/usr/bin/cloud-init")
        else ""
    )


@check(
    "proxy",
    WARNING,
    "set no_proxy to the hosts, 10.0.0.0/8 and .svc; an installed site needs no proxy",
)
def proxy(host: SeenHost) -> str:
    """No proxy comes between the hosts: where one is set, it is set not to."""
    told = [f"{where} ({', '.join(names)})" for where, names in host.look.proxies.items() if _bare(names)]
    return f"a proxy is set and no no_proxy beside it, in {'; '.join(told)}" if told else ""


def _bare(names: tuple[str, ...]) -> bool:
    lower = {name.lower() for name in names}
    return bool(lower - {"no_proxy"}) and "no_proxy" not in lower


@check("umask", NOTE, "leave it: what aiplat writes has the modes it needs")
def umask(host: SeenHost) -> str:
    """Files of root's are readable by others unless said otherwise (umask 0022)."""
    return f"the umask is {host.look.umask}" if int(host.look.umask, 8) & 0o055 else ""


@check("locale", NOTE, "leave it, or install it on the host (`locale-gen`, `dnf install glibc-langpack-en`)")
def locale_works(host: SeenHost) -> str:
    """The language that SSH hands over is installed on the host."""
    return "" if host.look.locale_works else "the login's locale is not installed there"


@check("restart-pending", WARNING, "restart it now, before anything runs there", fresh=True)
def restart_pending(host: SeenHost) -> str:
    """The host does not wait for a restart after an upgrade."""
    return (
        "it waits for a restart (/var/run/reboot-required)" if host.trace("/var/run/reboot-required") else ""
    )


@check("ostree", WARNING, "use the ordinary edition of the system")
def ostree(host: SeenHost) -> str:
    """The system is one whose packages can be added to while it runs."""
    kind = "rpm-ostree" if family_of(host.look.os_id) == "redhat" else "an image"
    return (
        f"the system is made of {kind}: packages cannot be added" if host.trace("/run/ostree-booted") else ""
    )
