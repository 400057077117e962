"""What the looks make of a host's own files: mounts, control groups, modules, ports, name servers, traces."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from aiplat.fleet.remote import look_machine, look_network
from aiplat.hosts.paths import paths_of
from aiplat.vault.pki import make_ca

SOCKETS = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an empty tree that stands for a host."""
    for folder in ("proc/net", "etc", "sys", "var/lib", "usr/local", "tmp", "run"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    """Write a file of the host."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_memory_and_swap_are_read(root: Path) -> None:
    """The kernel counts in kB, the look in MiB."""
    write(root, "proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 4096000 kB\nSwapTotal: 1024000 kB\n")
    assert look_machine.memory(root) == {"available_mib": 4000, "swap_mib": 1000}


def test_the_file_system_below_a_path_is_the_longest_mount(root: Path) -> None:
    """What is mounted over another hides it; a path that is not there is its nearest folder."""
    mounts = [["/dev/a", "/", "ext4", "rw"], ["nas:/v", str(root / "var/lib"), "nfs4", "rw"]]
    place = look_machine.place(root, "/var/lib/not-there", mounts)
    assert (place["kind"], place["source"]) == ("nfs4", "nas:/v")
    assert look_machine.place(root, "/etc", mounts)["kind"] == "ext4"


def test_certificates_are_read_and_what_is_none_is_left_out(root: Path) -> None:
    """When the first certificate of each file ends; a file with something else is not a certificate."""
    ca = make_ca("ward-3")
    write(root, "etc/aiplat/ca.crt", ca.crt)
    write(root, "etc/aiplat/registry.crt", "not a certificate")
    assert look_machine.certificates(root, "/var/lib/rancher/k3s") == {
        "/etc/aiplat/ca.crt": ca.expires.timestamp()
    }


def test_disks_and_certificates_are_looked_at_where_the_data_folder_is(root: Path) -> None:
    """The datastore's place, which may be a disk of its own, and the certificates of k3s."""
    ca = make_ca("ward-3")
    write(root, "data/plat/k3s/server/tls/serving-kube-apiserver.crt", ca.crt)
    seen = look_machine.facts(root, {"paths": paths_of("/data/plat").model_dump()})
    assert {"/data/plat", "/data/plat/k3s/server/db"} <= set(seen["places"])
    assert list(seen["certificates"]) == ["/data/plat/k3s/server/tls/serving-kube-apiserver.crt"]
    usual = look_machine.facts(root, {"paths": paths_of(None).model_dump()})
    assert "/var/lib/rancher/k3s/server/db" in usual["places"]
    assert usual["certificates"] == {}


def test_what_is_at_a_data_folder_is_seen(root: Path) -> None:
    """A file, a link's target, and what others have there; nothing where aiplat has it on record."""
    paths = paths_of("/data/plat").model_dump()
    assert look_machine.data_folder(root, paths_of(None).model_dump()) == {}
    free = {"data_is_file": False, "data_real": "/data/plat", "data_holds": []}
    assert look_machine.data_folder(root, paths) == free
    write(root, "data/plat/k3s/x", "")
    assert look_machine.data_folder(root, paths)["data_holds"] == ["k3s"]
    write(root, "var/lib/aiplat/data.json", "{}")
    assert look_machine.data_folder(root, paths) == free
    (root / "data").rename(root / "big")
    (root / "data").symlink_to(root / "big")
    assert look_machine.data_folder(root, paths)["data_real"] == "/big/plat"


def test_control_groups_of_both_versions_are_told_apart(root: Path) -> None:
    """Version 1 lists which controllers are on; version 2 has them in one file."""
    write(root, "proc/cgroups", "#subsys_name hierarchy num enabled\ncpu 2 60 1\nmemory 0 60 0\n")
    assert look_machine.cgroups(root) == {"cgroup_version": 1, "cgroup_controllers": ["cpu"]}
    write(root, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n")
    assert look_machine.cgroups(root)["cgroup_version"] == 2


def test_modules_are_loaded_available_or_missing(root: Path) -> None:
    """Built-in and compressed modules count as available."""
    write(root, "proc/modules", "nf_conntrack 1 2 - Live 0x0\n")
    write(root, "lib/modules/6.1.0/modules.builtin", "kernel/fs/overlayfs/overlay.ko\n")
    write(root, "lib/modules/6.1.0/modules.dep", "kernel/net/vxlan.ko.xz: kernel/net/udp_tunnel.ko.xz\n")
    found = look_machine.modules(root, "6.1.0")
    assert (found["nf_conntrack"], found["overlay"], found["vxlan"], found["br_netfilter"]) == (
        "loaded",
        "available",
        "available",
        "missing",
    )


def test_proxies_are_named_without_their_values(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value may hold a password."""
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    write(root, "etc/environment", "PATH=/bin\nhttps_proxy=http://me:secret@proxy:3128\nno_proxy=localhost\n")
    found = look_machine.proxies(root)
    assert found["/etc/environment"] == ["https_proxy", "no_proxy"]
    assert "secret" not in str(found)


def test_only_traces_with_something_in_them_count(root: Path) -> None:
    """An empty folder that a package made is not a leftover."""
    (root / "var/lib/kubelet").mkdir()
    write(root, "var/lib/rancher/k3s/server/token", "x")
    write(root, "etc/cni/net.d/10-calico.conflist", "{}")
    assert look_machine.traces(root) == ["/etc/cni/net.d/10-calico.conflist", "/var/lib/rancher/k3s"]


def test_a_k3s_of_somebody_else_is_told_from_ours(root: Path) -> None:
    """Our unit says whose it is."""
    write(root, "etc/systemd/system/k3s.service", "Environment=AIPLAT_CONTENT=1 # aiplat\n")
    assert look_machine.foreign_k3s(root) == ""
    write(root, "etc/systemd/system/k3s-agent.service", "ExecStart=/usr/local/bin/k3s agent\n")
    assert look_machine.foreign_k3s(root) == "/etc/systemd/system/k3s-agent.service"


def test_settings_that_would_turn_forwarding_off_are_found(root: Path) -> None:
    """Files of the administrator's count, comments do not."""
    write(root, "etc/sysctl.d/90-mine.conf", "# net.ipv4.ip_forward=0\n")
    write(root, "etc/sysctl.d/99-hard.conf", "net.ipv4.ip_forward = 0\n")
    write(root, "etc/sysctl.d/99-six.conf", "net/ipv6/conf/all/forwarding=0\n")
    off, six = look_machine.FORWARDING, look_machine.FORWARDING_IPV6
    assert look_machine.overridden(root, off) == ["/etc/sysctl.d/99-hard.conf"]
    assert look_machine.overridden(root, six) == ["/etc/sysctl.d/99-six.conf"]


def test_gpus_have_their_driver_s_name_or_a_number(root: Path) -> None:
    """Without a driver the bus still says that there is one."""
    write(root, "sys/bus/pci/devices/0/vendor", "0x10de\n")
    write(root, "sys/bus/pci/devices/0/class", "0x030000\n")
    write(root, "sys/bus/pci/devices/0/device", "0x2684\n")
    assert look_machine.graphics(root) == ["NVIDIA 0x2684"]
    write(root, "proc/driver/nvidia/gpus/0/information", "Model: \t\t NVIDIA L4\nIRQ: 1\n")
    assert look_machine.graphics(root) == ["NVIDIA L4"]


def test_ports_that_are_taken_are_found_with_their_program(root: Path) -> None:
    """Listening sockets count, connections do not; the program is the one that has the socket open."""
    listening = "   0: 00000000:192B 00000000:0000 0A 0:0 00:0 0 0 0 4242 1 0\n"
    connection = "   1: 0100007F:280A 0100007F:0001 01 0:0 00:0 0 0 0 4243 1 0\n"
    write(root, "proc/net/tcp", SOCKETS + listening + connection)
    write(root, "proc/17/comm", "haproxy\n")
    (root / "proc/17/fd").mkdir()
    (root / "proc/17/fd/3").symlink_to("socket:[4242]")
    assert look_network.ports(root, ["6443/tcp", "10250/tcp"]) == {"6443/tcp": "haproxy"}


def test_name_servers_are_read_with_those_behind_a_stub(root: Path) -> None:
    """A stub of the host's own asks others, which stand in a file of its own."""
    write(root, "etc/resolv.conf", "nameserver 127.0.0.53\nsearch a.example b.example\n")
    write(root, "run/systemd/resolve/resolv.conf", "nameserver 10.0.0.1\n")
    assert look_network.resolver(root) == {
        "nameservers": ["127.0.0.53"],
        "nameservers_behind": ["10.0.0.1"],
        "search": ["a.example", "b.example"],
    }


def test_a_port_of_another_host_is_open_or_closed() -> None:
    """Both say that the host is reached; only silence does not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert look_network.reach(f"127.0.0.1:{port}") == "open"
    assert look_network.reach(f"127.0.0.1:{port}") == "closed"


def test_hosts_that_run_aiplat_are_asked_less(root: Path) -> None:
    """A second run is not held up by what only new hosts need to be asked."""
    write(root, "var/lib/aiplat/ledger.json", "{}")
    seen = look_network.facts(root, {"ports": ["6443/tcp"], "peers": ["127.0.0.1:1"]})
    assert (seen["ports"], seen["peers"], seen["own_addresses"]) == ({}, {}, None)
    assert look_network.facts(root, {"peers": ["127.0.0.1:1"], "thorough": True})["peers"] == {
        "127.0.0.1:1": "closed"
    }
