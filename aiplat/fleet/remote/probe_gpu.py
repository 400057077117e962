"""Prints what a host's own tools say of its NVIDIA GPUs as JSON; runs on the host alone and only looks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SECONDS_EACH = 15
# A card that hangs makes its tools hang: the rest is still worth having.
LIMIT_CHARACTERS = 60_000
NVIDIA, DISPLAY, BRIDGE = "0x10de", "0x03", "0x0680"  # PCI vendor; classes of VGA and 3D, and of NVSwitches
BUS = "/sys/bus/pci/devices"
SIMULATED = "etc/aiplat/simulated-gpu.json"
USUAL = "/var/lib/rancher/k3s"


def k3s_folder(record: Path) -> str:
    """Return k3s' data folder, which a host with a data folder has on record."""
    try:
        return str(json.loads(record.read_text())["paths"]["k3s"])
    except (OSError, ValueError, KeyError):
        return USUAL


K3S = f"{k3s_folder(Path('/var/lib/aiplat/data.json'))}/agent"
# A kubelet may read its own node and nothing else: so every host can say what it offers, agents too.
NODE = f'kubectl --kubeconfig {K3S}/kubelet.kubeconfig get node "$(hostname | tr A-Z a-z)" -o yaml'
COMMANDS = (
    "uname -a",
    "cat /etc/os-release",
    "systemd-detect-virt --container",
    "cat /proc/device-tree/model",
    "lspci -nnk -d 10de:",
    "lsmod | grep -E '^(nvidia|nouveau|vfio)'",
    "cat /proc/driver/nvidia/version",
    "ls -l /dev/nvidia*",
    "modinfo nvidia | grep -E '^(filename|version|license|vermagic)'",
    "mokutil --sb-state",
    "for key in /var/lib/dkms/mok.pub /var/lib/shim-signed/mok/MOK.der; do "
    "test -e $key && mokutil --test-key $key; done",
    "test -e /lib/modules/$(uname -r)/build && echo /lib/modules/$(uname -r)/build || "
    "echo this kernel has no build folder",
    "dkms status",
    "dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\\n' '*nvidia*' | grep '^ii'",
    "rpm -qa '*nvidia*'",
    "nvidia-smi",
    "nvidia-smi -L",
    "nvidia-smi -q -d ROW_REMAPPER,ECC",
    "nvidia-smi --query-gpu=index,name,driver_version,fabric.state,fabric.status --format=csv",
    "systemctl show nvidia-fabricmanager -p Id -p LoadState -p ActiveState -p Result",
    "journalctl -b -u nvidia-fabricmanager --no-pager -q -o cat | tail -n 30",
    # k3s finds the runtime on its PATH and in the folder of NVIDIA's operator.
    "command -v nvidia-container-runtime || "
    "ls /usr/local/nvidia/toolkit/nvidia-container-runtime 2>/dev/null || "
    "echo nvidia-container-runtime: not installed",
    "nvidia-container-cli info",
    f"grep -n nvidia {K3S}/etc/containerd/config.toml",
    f"{NODE} | sed -n '/^  allocatable:/,/^  conditions:/p'",
    "dmesg | grep -iE 'nvrm|nvidia|nouveau|vfio|xid|secure boot' | tail -n 200",
    "grep -h 'avc:' /var/log/audit/audit.log | grep -i nvidia | tail -n 20",
    "tail -q -n 60 /var/log/pods/*nvidia*device-plugin*/*/*.log",
)
NOT_THERE = 127  # what a shell answers where a command is not installed


def output(command: str) -> str:
    """Return what a command says; nothing where its tool is missing; for nvidia-smi that is reported."""
    try:
        done = subprocess.run(  # noqa: S602 - the commands are the constants above
            command,
            shell=True,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS_EACH,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"(did not end within {SECONDS_EACH} s: timeout)"
    text = (done.stdout.strip() or done.stderr.strip())[-LIMIT_CHARACTERS:]
    missing = done.returncode == NOT_THERE and command != "nvidia-smi"
    searched = " | " in command or command.startswith(("grep", "tail", "modinfo", "cat"))
    return "" if missing or (searched and not done.stdout.strip()) else text


def has_gpu(root: Path = Path("/")) -> bool:
    """Whether the bus has a display device of NVIDIA's, whoever holds it, or this is Jetson or WSL."""
    devices = (root / "sys/bus/pci/devices").glob("*")
    on_bus = any(
        (device / "vendor").read_text().strip() == NVIDIA
        and (device / "class").read_text().startswith(DISPLAY)
        for device in devices
    )
    return on_bus or any((root / node).exists() for node in ("dev/nvhost-gpu", "dev/nvgpu", "dev/dxg"))


def on_bus(root: Path = Path("/")) -> str:
    """Return NVIDIA's devices in lspci's form: a minimal host has no lspci."""
    lines = []
    for device in sorted((root / BUS.lstrip("/")).glob("*")):
        kind = (device / "class").read_text().strip()
        if (device / "vendor").read_text().strip() != NVIDIA or not kind.startswith((DISPLAY, BRIDGE)):
            continue
        number, name = (
            (device / "device").read_text().strip()[2:],
            "Bridge" if kind.startswith(BRIDGE) else "3D controller",
        )
        lines.append(f"{device.name} {name} [{kind[2:6]}]: NVIDIA Corporation Device [10de:{number}]")
        if (device / "driver").exists():
            lines.append(f"\tKernel driver in use: {(device / 'driver').resolve().name}")
    return "\n".join(lines)


def simulated(root: Path = Path("/")) -> dict[str, str]:
    """Return what is made up on a lab host, which has no card of its own; nothing on any other host."""
    if not (root / "etc/aiplat/lab-host").exists() or not (root / SIMULATED).exists():
        return {}
    facts: dict[str, str] = json.loads((root / SIMULATED).read_text())
    return {**facts, SIMULATED: "this card is simulated"}


def main() -> None:
    """Print one JSON document: whether there is a GPU at all, and what each command said."""
    made_up = simulated()
    found = bool(made_up) or has_gpu()
    said = {command: text for command in COMMANDS if found and (text := output(command))}
    said |= {BUS: text} if found and (text := on_bus()) else {}
    json.dump({"has_gpu": found, "facts": {**said, **made_up}}, sys.stdout)


if __name__ == "__main__":
    main()
