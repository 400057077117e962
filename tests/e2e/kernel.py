"""What a bootstrap could leave in a host's kernel: filters, links, addresses, groups, mounts, settings."""

from __future__ import annotations

import subprocess
from pathlib import Path

from aiplat.lab import lab_status
from tests.e2e.journey import Journey

GROUPS = "systemctl list-units --all --plain --no-legend 'kubepods*'; find /sys/fs/cgroup -name 'kubepods*'"
SETTINGS = (
    "sysctl -n net.ipv4.conf.all.route_localnet net.netfilter.nf_conntrack_max"
    " net.netfilter.nf_conntrack_tcp_timeout_established 2>/dev/null"
    "; sysctl -n net.ipv6.conf.all.forwarding net.ipv6.conf.default.forwarding"
)
# Link-local ones of the host's own cards come and go with the kernel's mind.
ADDRESSES = (
    "ip -brief address | awk '{$2 = \"\"; print}' | grep -v fe80: | sort;"
    " ip -6 route show table all | grep -v -e fe80: -e ff00: -e expires | sort"
)


def filters(journey: Journey, host: str) -> str:
    """Return a host's packet filter as this machine's nft sees it: the host has no nft before and after."""
    nspawn = next(h.pid for h in lab_status(journey.name).hosts if h.name == host)
    inside = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()[0]
    command = ["nsenter", "--net", "--target", inside, "nft", "list", "ruleset"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def left(journey: Journey, host: str) -> dict[str, str]:
    """Return what a bootstrap could leave in a host's kernel."""
    return {
        "filters": filters(journey, host),
        "addresses": journey.on_host(ADDRESSES, host),
        "links": journey.on_host("ip -o link | awk -F': ' '{print $2}' | sort", host),
        "groups": journey.on_host(f"{{ {GROUPS}; }} || true", host),
        "mounts": journey.on_host("grep -E 'kubelet|k3s|cni' /proc/mounts || true", host),
        "settings": journey.on_host(f"{SETTINGS} || true", host),
        "folders": journey.on_host(
            "ls -d /usr/libexec/kubernetes /run/nri /run/flannel 2>/dev/null || true", host
        ),
    }
