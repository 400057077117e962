"""Says what to look at next where facts do not suffice for a verdict: commands that only read."""

from __future__ import annotations

from aiplat.gpu.signals.all import Signals

BUS = "lspci -nnk -d 10de:"
KERNEL = "journalctl -k -b --no-pager | grep -iE 'nvrm|nvidia|nouveau|xid|BAR'"
MODULE = "lsmod | grep -E 'nvidia|nouveau|vfio'; modinfo nvidia; cat /proc/driver/nvidia/version"
BUILD = "uname -r; dkms status; mokutil --sb-state"
DRIVER = "nvidia-smi; nvidia-smi -q"
CONTAINER = "nvidia-container-cli info; grep nvidia {k3s}/agent/etc/containerd/config.toml"
NODE = "kubectl describe node NODE; kubectl logs -n NAMESPACE PLUGIN-POD"


def next_looks(signals: Signals, k3s: str) -> tuple[str, ...]:
    """Return the commands whose answers are not among the facts, from the bus upwards.

    `k3s` is the host's data folder of k3s.
    """
    printed = " ".join(fact.command for fact in signals.facts).lower()
    looks = (
        (BUS, bool(signals.devices)),
        (KERNEL, bool(signals.kernel.module or signals.kernel.xids or "dmesg" in printed)),
        (MODULE, bool(signals.modules.listed or signals.modules.disk_version)),
        (BUILD, bool(signals.packages.dkms and signals.kernel.release)),
        (DRIVER, bool(signals.smi.cards)),
        (CONTAINER.format(k3s=k3s), bool(signals.heard("runtime-configured", "card-in-container-list"))),
        (NODE, bool(signals.cluster.resources)),
    )
    missing = tuple(command for command, was_seen in looks if not was_seen)
    return missing[:4] or (DRIVER, KERNEL)
