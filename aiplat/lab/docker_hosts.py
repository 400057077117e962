"""One lab host as a container that runs systemd: made, started, copied; the order is aiplat.lab.docker's."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from aiplat.lab import tree
from aiplat.lab.engine import LABEL, docker, inspected, listed, remove
from aiplat.lab.names import machine_name, network_name
from aiplat.lab.record import RecordedHost, tree_dir
from aiplat.shipped import shipped

_START = "/usr/local/lib/aiplat-lab/start"
# Everything that systemd, a container runtime and a kubelet use. Named one by one, where `--privileged` is
# short: that also wants what an engine's own machine may not have to give, and gives all its devices.
_CAPABILITIES = (
    *("AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "CHOWN", "DAC_OVERRIDE"),
    *("DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE"),
    *("MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP"),
    *("SETUID", "SYSLOG", "SYS_ADMIN", "SYS_CHROOT", "SYS_NICE", "SYS_PTRACE", "SYS_TTY_CONFIG"),
)
_DEVICES = ("/dev/kmsg", "/dev/fuse")
_SHUTDOWN_SECONDS = 120
# What ends the names of what is not whole.
_UNFINISHED = ".making"


def container_name(lab: str, host: str) -> str:
    """Return what a host's container is called, and the volume that is its /var."""
    return f"aiplat-lab.{machine_name(lab, host)}"


def snapshot_image(lab: str, host: str, label: str) -> str:
    """Return the image that keeps a host's root file system under a label."""
    return f"aiplat-lab/{machine_name(lab, host)}:{label}"


def snapshot_volume(lab: str, host: str, label: str) -> str:
    """Return the volume that keeps a host's /var under a label."""
    return f"{container_name(lab, host)}.{label}"


def create_argv(lab: str, host: RecordedHost, image: str, name: str) -> tuple[str, ...]:
    """Return the words that make a host's container, which is not started by them."""
    return (
        *("create", "--name", name, "--hostname", host.name, "--label", f"{LABEL}={lab}"),
        *("--network", network_name(lab), "--ip", host.address),
        *(f"--cap-add={name}" for name in _CAPABILITIES),
        *(f"--security-opt={name}=unconfined" for name in ("seccomp", "apparmor", "systempaths")),
        *("--cgroupns=private", "--device-cgroup-rule=a *:* rwm"),
        *(f"--device={device}" for device in _DEVICES if Path(device).exists()),
        *(f"--tmpfs={folder}" for folder in ("/run", "/run/lock", "/tmp")),  # noqa: S108 - the host's own
        # On the engine's own disk: a container runtime in it cannot lay layers on layers.
        f"--volume={container_name(lab, host.name)}:/var",
        *("--env", "container=docker", "--stop-signal", "SIGRTMIN+3"),
        # To the engine a host that reboots has ended, like one that powers off: it starts both again.
        *("--restart", "unless-stopped", "--entrypoint", _START, image),
    )


def seed(folder: Path, identity: tree.Identity) -> bool:
    """Write a host's own files below `folder`, once: what makes of the common root this host."""
    if folder.is_dir():
        return False
    unfinished = folder.with_name(f".making-{folder.name}")
    tree.remove_tree(unfinished)
    tree.seed(unfinished, identity)
    target = unfinished / _START.removeprefix("/")
    target.parent.mkdir(parents=True)
    shutil.copy(shipped("lab/docker/start"), target)
    # The engine gives the root's own folders the modes of these.
    for inside in unfinished.rglob("*/"):
        inside.chmod(0o700 if inside.is_relative_to(unfinished / "root") else 0o755)
    unfinished.rename(folder)
    return True


def create(lab: str, host: RecordedHost, image: str) -> bool:
    """Make a host's container with its own files, unless it is there; return whether it was made.

    It appears under its name only when it is whole.
    """
    name = container_name(lab, host.name)
    if name in listed("container", lab):
        return False
    unfinished = f"{name}{_UNFINISHED}"
    remove("container", unfinished)
    if name not in listed("volume", lab):
        docker("volume", "create", "--label", f"{LABEL}={lab}", name)
    docker(*create_argv(lab, host, image, unfinished))
    docker("cp", "--archive", f"{tree_dir(lab, host.name)}/.", f"{unfinished}:/")
    docker("rename", unfinished, name)
    return True


def start(lab: str, host: str) -> bool:
    """Start a host's container unless it runs; return whether it was started."""
    name = container_name(lab, host)
    if inspected(name)[name]["State"]["Running"]:
        return False
    docker("start", name)
    return True


def stop(lab: str, host: str) -> bool:
    """Shut a host down in order; return whether it ran."""
    name = container_name(lab, host)
    if not inspected(name)[name]["State"]["Running"]:
        return False
    # Old and new command lines have different long names for it.
    docker("stop", f"-t{_SHUTDOWN_SECONDS}", name)
    return True


def kept(lab: str, hosts: Sequence[RecordedHost]) -> tuple[str, ...]:
    """Return the labels under which the disks of all these hosts are kept."""
    images = listed("image", lab)
    labels = {image.rpartition(":")[2] for image in images if not image.endswith(_UNFINISHED)}
    whole = {name for name in labels if all(snapshot_image(lab, h.name, name) in images for h in hosts)}
    return tuple(sorted(whole))


def keep(lab: str, hosts: Sequence[RecordedHost], label: str) -> None:
    """Keep stopped hosts' disks under a label; the images' names are the last, and say that all is there."""
    remove_unfinished(lab)
    names = [host.name for host in hosts]
    # Hosts may have been put back to this label: what their containers are made of goes with the old images.
    for name in names:
        commit = ("commit", "--change", f"LABEL {LABEL}={lab}", container_name(lab, name))
        docker(*commit, _unfinished(lab, name, label))
    # Never a name of this snapshot beside one of the last: hosts of two times would be put back together.
    for name in names:
        remove("image", snapshot_image(lab, name, label))
    for name in names:
        volume = snapshot_volume(lab, name, label)
        remove("volume", volume)
        _copy_volume(lab, container_name(lab, name), volume, _unfinished(lab, name, label))
    for name in names:
        docker("tag", _unfinished(lab, name, label), snapshot_image(lab, name, label))
    for name in names:
        remove("image", _unfinished(lab, name, label))


def remove_unfinished(lab: str) -> None:
    """Remove what a command that was killed has left: its containers hold volumes, and one may still copy."""
    for kind in ("container", "image"):
        for name in listed(kind, lab):
            if name.endswith(_UNFINISHED):
                remove(kind, name)


def put_back(lab: str, host: RecordedHost, label: str) -> None:
    """Put a host's disks back to what a label keeps, running or not; it is stopped afterwards."""
    name, image = container_name(lab, host.name), snapshot_image(lab, host.name, label)
    remove("container", name)
    remove("volume", name)
    _copy_volume(lab, snapshot_volume(lab, host.name, label), name, image)
    create(lab, host, image)


def _unfinished(lab: str, host: str, label: str) -> str:
    return f"{snapshot_image(lab, host, label)}{_UNFINISHED}"


def _copy_volume(lab: str, source: str, target: str, image: str) -> None:
    marked = ("--label", f"{LABEL}={lab}")
    docker("volume", "create", *marked, target)
    volumes = (f"--volume={source}:/from:ro", f"--volume={target}:/to")
    # The engine continues to copy when whoever asked it is killed: by label and name it is found and ended.
    named = ("run", "--rm", "--name", f"{target}{_UNFINISHED}", *marked)
    docker(*named, "--network=none", *volumes, "--entrypoint=cp", image, "-a", "/from/.", "/to/")
