"""Checks of disks: room, what a file system may do, how fast it can be."""

from __future__ import annotations

from collections.abc import Callable

from aiplat.hosts.check import BLOCKER, NOTE, WARNING, SeenHost, check
from aiplat.hosts.facts import Place
from aiplat.hosts.paths import SYSTEM_DATA

TMP = "/tmp"  # noqa: S108 - a path of the host that was looked at
LEAST_MIB, ROOMY_MIB, FULL_MIB = 6 * 1024, 20 * 1024, 512
NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs")


def _place(host: SeenHost) -> Place | None:
    return host.look.places.get(host.needs.data)


def _at(words: str) -> Callable[[SeenHost], str]:
    """Return a fix that names the host's data folder where its words say DATA."""
    return lambda host: words.replace("DATA", host.needs.data)


_ROOM = _at("make room below DATA, mount a larger disk there, or name a folder on one as `dataDir`")


@check("disk-room", BLOCKER, _ROOM, fresh=True)
def disk_room(host: SeenHost) -> str | None:
    """6 GiB are free below the data folder (/var/lib); a plan says how much exactly is needed."""
    place = _place(host)
    if place is None:
        return None
    return f"{place.free_mib} MiB are free below {host.needs.data}" if place.free_mib < LEAST_MIB else ""


@check("disk-room-for-models", WARNING, _ROOM, fresh=True)
def disk_room_for_models(host: SeenHost) -> str | None:
    """20 GiB are free below the data folder, so that models of some size have room."""
    place = _place(host)
    if place is None:
        return None
    tight = LEAST_MIB <= place.free_mib < ROOMY_MIB
    return f"{place.free_mib} MiB are free below {host.needs.data}: little for models" if tight else ""


@check("disk-full", BLOCKER, "make room: Kubernetes' store stops when it cannot write")
def disk_full(host: SeenHost) -> str | None:
    """512 MiB are free below the data folder where a site runs: its store stops when it cannot write."""
    place = _place(host)
    if place is None:
        return None
    full = host.look.owner is not None and place.free_mib < FULL_MIB
    return f"{place.free_mib} MiB are free below {host.needs.data}" if full else ""


@check(
    "disk-nearly-full", WARNING, "make room: Kubernetes removes images and pods when less than 15 % is free"
)
def disk_nearly_full(host: SeenHost) -> str | None:
    """More than 15 % of the data's file system is free: below that the kubelet throws images and pods out."""
    place = _place(host)
    if place is None or not place.size_mib:
        return None
    share = 100 * place.free_mib // place.size_mib
    return f"{share} % of the file system below {host.needs.data} is free" if share <= 15 else ""


@check("disk-inodes", BLOCKER, "remove small files there (`df -i` shows where), or make a new file system")
def disk_inodes(host: SeenHost) -> str | None:
    """More than 5 % of the data's inodes are free: images are made of many small files."""
    place = _place(host)
    if place is None:
        return None
    left = place.inodes_free_percent
    return f"{left} % of the inodes below {host.needs.data} are free" if left <= 5 else ""


@check("disk-tmp", WARNING, "make room in /tmp")
def disk_tmp(host: SeenHost) -> str | None:
    """100 MiB are free in /tmp, where Ansible puts what it runs."""
    place = host.look.places.get(TMP)
    return None if place is None else f"{place.free_mib} MiB are free in /tmp" if place.free_mib < 100 else ""


@check("disk-network", BLOCKER, _at("use a disk of the host's own below DATA"))
def disk_network(host: SeenHost) -> str | None:
    """The data folder is on a disk of the host's own, not on a network's file system."""
    place = _place(host)
    if place is None:
        return None
    return f"{host.needs.data} is on {place.kind} ({place.source})" if place.kind in NETWORK else ""


@check("disk-overlay", BLOCKER, _at("mount an ext4 or XFS file system at DATA"), real=True)
def disk_overlay(host: SeenHost) -> str | None:
    """The data folder is on a file system that containers' layers can be laid over."""
    place = _place(host)
    if place is None:
        return None
    return (
        f"{host.needs.data} is on {place.kind}, over which overlays do not work"
        if place.kind in ("overlay", "aufs")
        else ""
    )


@check("disk-memory", BLOCKER, _at("mount a disk at DATA"), real=True)
def disk_memory(host: SeenHost) -> str | None:
    """The data folder survives a restart: it is not in memory."""
    place = _place(host)
    if place is None:
        return None
    return (
        f"{host.needs.data} is on {place.kind}, which a restart empties"
        if place.kind in ("tmpfs", "ramfs")
        else ""
    )


@check("disk-xfs-type", BLOCKER, "recreate the file system with `mkfs.xfs -n ftype=1`")
def disk_xfs_type(host: SeenHost) -> str:
    """An XFS below the data folder stores file types (ftype=1), which overlays need."""
    return f"the XFS below {host.needs.data} has ftype=0" if host.look.xfs_without_type else ""


@check(
    "disk-rotating",
    NOTE,
    _at("put DATA on an SSD; with one server a slow disk is slow, with three it fails"),
)
def disk_rotating(host: SeenHost) -> str | None:
    """The data folder is on an SSD: Kubernetes' store waits for the disk at every write."""
    place = _place(host)
    return (
        None
        if place is None
        else f"{host.needs.data} is on a disk that turns ({place.source})"
        if place.rotating
        else ""
    )


def _remount(path: str, option: str) -> Callable[[SeenHost], str]:
    return _at(f"take `{option}` from its line in /etc/fstab and `mount -o remount,{option[2:]} {path}`")


@check("data-noexec", BLOCKER, _remount("DATA", "noexec"))
def data_noexec(host: SeenHost) -> str | None:
    """Programs below the data folder may run: k3s unpacks its own there."""
    place = _place(host)
    return None if place is None else f"{host.needs.data} is mounted noexec" if place.noexec else ""


@check("data-nodev", WARNING, _remount("DATA", "nodev"))
def data_nodev(host: SeenHost) -> str | None:
    """Device files below the data folder work: images and volumes may have some."""
    place = _place(host)
    return None if place is None else f"{host.needs.data} is mounted nodev" if place.nodev else ""


@check("data-nosuid", NOTE, "leave it, unless a container complains that it may not change its user")
def data_nosuid(host: SeenHost) -> str | None:
    """Programs below the data folder may change their user, as some images expect."""
    place = _place(host)
    return None if place is None else f"{host.needs.data} is mounted nosuid" if place.nosuid else ""


@check("data-folder", BLOCKER, "name a folder by its own path, or one that is not there yet, as `dataDir`")
def data_folder(host: SeenHost) -> str:
    """A data folder that the site names is a folder that no link leads to, or is not there yet."""
    if host.look.data_is_file:
        return f"{host.needs.data} is a file"
    real = host.look.data_real
    return f"{host.needs.data} leads to {real}" if real not in ("", host.needs.data) else ""


@check("data-taken", BLOCKER, "name another folder as `dataDir`, or move them away", fresh=True)
def data_taken(host: SeenHost) -> str:
    """Nothing of others is in a data folder under the names that aiplat uses: a reset would remove it."""
    return (
        f"{', '.join(host.look.data_holds)} in {host.needs.data} are of others"
        if host.look.data_holds
        else ""
    )


@check("data-disk", NOTE, _at("see that the disk meant is mounted where DATA is (`df DATA`)"), fresh=True)
def data_disk(host: SeenHost) -> str | None:
    """A data folder that the site names is on another disk than /var/lib, or there was no need of it."""
    usual, place = host.look.places.get(SYSTEM_DATA), _place(host)
    if usual is None or place is None or host.needs.data == SYSTEM_DATA:
        return ""
    same = (usual.source, usual.size_mib, usual.free_mib) == (place.source, place.size_mib, place.free_mib)
    return f"{host.needs.data} is on the disk of {SYSTEM_DATA}" if same else ""


@check(
    "data-selinux",
    BLOCKER,
    "leave `dataDir` out and mount the disk at /var/lib; or `setenforce 0` and accept it",
)
def data_selinux(host: SeenHost) -> str:
    """Where SELinux is enforced, everything is below /var/lib: the policy of k3s knows no other folder."""
    lost = host.look.selinux == "enforcing" and host.needs.data != SYSTEM_DATA
    return f"SELinux is enforced, and k3s' policy does not know {host.needs.data}" if lost else ""


@check("programs-noexec", BLOCKER, _remount("/usr/local", "noexec"))
def programs_noexec(host: SeenHost) -> str | None:
    """Programs below /usr/local may run: k3s and helm go there."""
    place = host.look.places.get("/usr/local")
    return None if place is None else "/usr/local is mounted noexec" if place.noexec else ""


def _writable(host: SeenHost) -> str:
    if host.trace("/run/ostree-booted"):
        return "this system keeps /usr read-only; use one that does not"
    return "mount it writable"


@check("programs-read-only", BLOCKER, _writable)
def programs_read_only(host: SeenHost) -> str | None:
    """Files can be written below /usr/local."""
    place = host.look.places.get("/usr/local")
    return None if place is None else "/usr/local is read-only" if place.read_only else ""


@check("etc-read-only", BLOCKER, "mount it writable; see `dmesg` for a disk that failed")
def etc_read_only(host: SeenHost) -> str | None:
    """Files can be written below /etc and the data folder."""
    places = host.look.places
    read_only = [path for path in ("/etc", host.needs.data) if path in places and places[path].read_only]
    return (
        f"{' and '.join(read_only)} {'is' if len(read_only) == 1 else 'are'} read-only" if read_only else ""
    )


@check("tmp-noexec", NOTE, "leave it: only programs that other tools unpack in /tmp fail")
def tmp_noexec(host: SeenHost) -> str | None:
    """Programs in /tmp may run."""
    place = host.look.places.get(TMP)
    return None if place is None else f"{TMP} is mounted noexec" if place.noexec else ""
