"""Checks of firewalls and of the kernel's packet filters."""

from __future__ import annotations

import re

from aiplat.hosts.check import BLOCKER, WARNING, SeenHost, check, install

# Releases in which rules are lost or doubled when nft and legacy take turns.
BROKEN_IPTABLES = ((1, 8, 0), (1, 8, 4))


def _open_firewalld(host: SeenHost) -> str:
    sources = " ".join(f"--add-source={network}" for _, network in host.needs.networks)
    return (
        f"`firewall-cmd --permanent --zone=trusted {sources}`, then ports "
        "6443, 10250, 5443/tcp and 8472/udp, then `--reload`; or `systemctl disable --now firewalld`"
    )


@check("firewalld", WARNING, _open_firewalld)
def firewalld(host: SeenHost) -> str:
    """No firewalld stands between pods, services and hosts, or it lets them through."""
    return "firewalld is active" if host.active("firewalld") else ""


@check("firewalld-flush", WARNING, "set `FlushAllOnReload=no` in /etc/firewalld/firewalld.conf")
def firewalld_flush(host: SeenHost) -> str:
    """A reload of firewalld leaves Kubernetes' rules in place."""
    lost = host.active("firewalld") and host.look.firewalld_flushes
    return "a reload of firewalld throws Kubernetes' rules away" if lost else ""


def _open_ufw(host: SeenHost) -> str:
    sources = ", ".join(f"`ufw allow from {network}`" for _, network in host.needs.networks)
    return f"{sources}, `ufw allow` 6443, 10250, 5443/tcp and 8472/udp from the other hosts; or `ufw disable`"


@check("ufw", WARNING, _open_ufw)
def ufw(host: SeenHost) -> str:
    """No ufw stands between pods, services and hosts, or it lets them through."""
    return "ufw is active" if host.look.ufw_enabled and host.look.services.get("ufw") != "inactive" else ""


@check("nftables-service", WARNING, "put your rules into a table of their own and take `flush ruleset` out")
def nftables_service(host: SeenHost) -> str:
    """No nftables service flushes the whole ruleset, Kubernetes' rules with it, when it is reloaded."""
    return (
        "nftables.service is active; its file usually begins with `flush ruleset`"
        if host.active("nftables")
        else ""
    )


@check("iptables-release", BLOCKER, "upgrade iptables")
def iptables_release(host: SeenHost) -> str | None:
    """A host's own iptables is newer than the early ones of 1.8, up to its fourth fix, which lose rules."""
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", host.look.iptables)
    if not found:
        return None
    release = tuple(int(part) for part in found.groups())
    low, high = BROKEN_IPTABLES
    return f"its iptables is {'.'.join(found.groups())}, which loses rules" if low <= release <= high else ""


@check(
    "iptables-one-kind",
    WARNING,
    "`iptables-legacy-save` shows the old ones: move them, then restart",
    fresh=True,
)
def iptables_one_kind(host: SeenHost) -> str:
    """Rules are all of one kind, legacy or nf_tables, so that none is overlooked."""
    both = "nf_tables" in host.look.iptables and host.look.legacy_tables
    return (
        f"there are rules of the legacy kind ({', '.join(host.look.legacy_tables)}) beside nf_tables"
        if both
        else ""
    )


_UNINSTALL = "uninstall what made them (`k3s-uninstall.sh`, `kubeadm reset`), then restart the host"


@check("leftover-rules", BLOCKER, _UNINSTALL, fresh=True)
def leftover_rules(host: SeenHost) -> str:
    """No earlier Kubernetes left its rules: a stale one sends packets to pods that are gone."""
    count = host.look.leftover_chains
    return f"{count} chains of an earlier Kubernetes (KUBE-, CNI-) are in the kernel" if count else ""


@check("firewall-tool", WARNING, install("nftables"), real=True)
def firewall_tool(host: SeenHost) -> str | None:
    """The kernel has nf_tables or ip_tables, in which Kubernetes writes its rules."""
    seen = {host.look.modules.get(name) for name in ("nf_tables", "ip_tables")}
    if seen == {None}:
        return None
    return "" if seen & {"loaded", "available"} else "the kernel has neither nf_tables nor ip_tables"
