"""A lab of two hosts: what they are, what they can do, and that they have no way out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aiplat.errors import BadInput
from aiplat.lab import LabStatus, egress_report, lab_status, lab_up, ssh_argv
from aiplat.lab.names import bridge_name
from aiplat.state import site_dir
from tests.lab_driver.sites import site
from tests.lab_driver.traces import traces

pytestmark = pytest.mark.lab
NAME = "t-lab-hosts"
OnHost = Callable[[str, str, str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def lab(removed_after: Callable[[str], str]) -> LabStatus:
    """Bring up a server and an agent."""
    return lab_up(site(removed_after(NAME), "10.92.20.11", "10.92.20.12"))


@pytest.fixture
def sh(lab: LabStatus, on_host: OnHost) -> Callable[..., str]:
    """Give a function that runs a command on a host that must succeed, and returns what it printed."""

    def run(command: str, host: str = "s1") -> str:
        done = on_host(NAME, host, command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_a_lab_that_is_up_says_so(lab: LabStatus) -> None:
    """Status names every host with the process that runs it."""
    seen = lab_status(NAME)
    assert (seen.state, seen.subnet, seen.gateway) == ("up", "10.92.20.0/24", "10.92.20.1")
    assert [(h.name, h.role, h.state) for h in seen.hosts] == [("s1", "server", "up"), ("a2", "agent", "up")]
    assert all(Path(f"/proc/{h.pid}").exists() for h in seen.hosts)


def test_up_again_changes_nothing(lab: LabStatus) -> None:
    """The same processes run on, and nothing is counted as changed."""
    again = lab_up(site(NAME, "10.92.20.11", "10.92.20.12"))
    assert again.changed == 0
    assert again.hosts == lab.hosts


def test_hosts_are_whole_systems_with_a_marker(sh: Callable[..., str]) -> None:
    """Every unit is up, the marker names the lab, the hosts have their names."""
    for host in ("s1", "a2"):
        assert sh("systemctl is-system-running --wait; systemctl --failed --no-legend", host) == "running"
        assert sh("cat /etc/aiplat/lab-host; hostname", host).splitlines() == [NAME, host]


def test_hosts_differ_where_machines_differ(sh: Callable[..., str]) -> None:
    """Machine ids and host keys are a host's own."""
    own = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub"
    assert not set(sh(own, "s1").split()) & set(sh(own, "a2").split()) - {"ssh-ed25519"}


def test_hosts_have_what_a_cloud_image_has_and_no_more(sh: Callable[..., str]) -> None:
    """What roles must bring from the bundle is not there already, and apt has no address."""
    assert sh("command -v sudo python3 ip sshd >/dev/null && python3 -c 'import apt' && echo yes") == "yes"
    assert sh("command -v nft iptables runc containerd conntrack curl docker || echo none") == "none"
    assert sh("grep -rhE '^(deb|URIs)' /etc/apt/sources.list* || echo none") == "none"


def test_control_groups_are_the_hosts_own_and_writable(sh: Callable[..., str]) -> None:
    """A group with a memory limit can be made in a host, and the other host does not see it."""
    tree = sh("[ -d /sys/fs/cgroup/memory ] && echo /sys/fs/cgroup/memory || echo /sys/fs/cgroup")
    limit = "memory.limit_in_bytes" if tree.endswith("memory") else "memory.max"
    own = f"{tree}/t-own"
    sh(f"mkdir {own} && echo 64M > {own}/{limit} && sh -c 'echo $$ > {own}/cgroup.procs'")
    assert sh(f"cat {own}/{limit}") == str(64 << 20)
    assert sh(f"ls -d {own} || echo none", "a2") == "none"
    sh(f"rmdir {own}")


def test_every_controller_can_be_written(sh: Callable[..., str]) -> None:
    """No hierarchy is mounted read-only once the host is up."""
    assert sh("awk '$3 ~ /^cgroup/ && $4 ~ /^ro/' /proc/mounts") == ""


def test_kernel_settings_that_kubelets_want_are_the_hosts_own(sh: Callable[..., str]) -> None:
    """Setting them in a host leaves this machine's value as it is."""
    setting = "/proc/sys/vm/overcommit_memory"
    before = Path(setting).read_text()
    sh(f"echo 1 > {setting} && echo 1 > /proc/sys/net/ipv4/ip_forward")
    assert (sh(f"cat {setting}"), Path(setting).read_text()) == ("1", before)


def test_mounts_travel_and_overlays_stack(sh: Callable[..., str]) -> None:
    """A container runtime can make overlays below /var/lib, and pods' mounts propagate."""
    assert sh("findmnt -n -o PROPAGATION /") == "shared"
    overlay = "mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work merged"
    sh(f"cd $(mktemp -d -p /var/lib) && mkdir low up work merged && {overlay} && umount merged")


def test_the_kernels_log_can_be_read(sh: Callable[..., str]) -> None:
    """A kubelet does not start without /dev/kmsg."""
    sh("dd if=/dev/kmsg of=/dev/null bs=8192 count=1 iflag=nonblock")


def test_keys_are_where_the_other_rooms_look(lab: LabStatus) -> None:
    """Plain ssh with the site's own key and known_hosts reaches a host, and the key is private."""
    folder = site_dir(NAME)
    assert (folder / "ssh_key").stat().st_mode & 0o777 == 0o600
    options = ("-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={folder / 'known_hosts'}")
    argv = ["ssh", *options, "-i", str(folder / "ssh_key"), "root@10.92.20.11", "hostname"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "s1\n"


def test_a_host_that_is_not_in_the_lab_is_named(lab: LabStatus) -> None:
    """The message says which hosts there are."""
    with pytest.raises(BadInput, match=f"host s9: is not in lab {NAME}; it has s1, a2"):
        ssh_argv(NAME, "s9")


def test_a_site_with_other_addresses_is_refused(lab: LabStatus) -> None:
    """The lab that is up keeps its subnet until it is removed."""
    with pytest.raises(BadInput, match=r"is up in 10\.92\.20\.0/24, the site is in 10\.92\.21\.0/24"):
        lab_up(site(NAME, "10.92.21.11"))


def test_another_labs_subnet_is_refused(lab: LabStatus, lab_state: Path) -> None:
    """Two labs cannot share addresses; the link that has them is named, and nothing was made."""
    with pytest.raises(
        BadInput, match=r"has 10\.92\.20\.1/24; give the site's hosts addresses of another /24"
    ):
        lab_up(site("t-lab-same", "10.92.20.11"))
    found = traces("t-lab-same", bridge_name("t-lab-same"), lab_state)
    assert {kind: what for kind, what in found.items() if what} == {}


def test_the_counter_is_zero_until_something_tries_to_leave(lab: LabStatus, on_host: OnHost) -> None:
    """Booting and talking within the lab count nothing; an address, a name and a pod's try count."""
    assert on_host(NAME, "s1", "ping -c1 -W2 10.92.20.12").returncode == 0
    assert egress_report(NAME).packets == 0
    steps = {
        ("10.92.20.11", "192.0.2.80", "tcp", 443): "timeout 1 bash -c 'echo > /dev/tcp/192.0.2.80/443'",
        ("10.92.20.11", "10.92.20.1", "udp", 53): "timeout 2 getent ahostsv4 example.org",
        ("10.92.20.11", "192.0.2.81", "icmp", 0): "ping -c1 -W1 192.0.2.81",
        ("10.42.9.2", "192.0.2.82", "udp", 123): _as_pod(
            "timeout 1 bash -c 'echo x > /dev/udp/192.0.2.82/123'"
        ),
        ("10.92.20.11", "10.92.20.1", "tcp", 22): "timeout 1 bash -c 'echo > /dev/tcp/10.92.20.1/22'",
    }
    for (source, destination, protocol, port), command in steps.items():
        before = egress_report(NAME).packets
        on_host(NAME, "s1", command)
        report = egress_report(NAME)
        assert report.packets > before, command
        found = {(a.source, a.destination, a.protocol, a.port) for a in report.attempts}
        assert (source, destination, protocol, port) in found


def _as_pod(command: str) -> str:
    """Return `command` run in a network namespace that is routed by the host, as a pod's is."""
    return (
        "ip netns add pod && ip link add veth-pod type veth peer name eth0 netns pod && "
        "ip address add 10.42.9.1/24 dev veth-pod && ip link set veth-pod up && "
        "echo 1 > /proc/sys/net/ipv4/ip_forward && "
        "ip -n pod address add 10.42.9.2/24 dev eth0 && ip -n pod link set eth0 up && "
        f"ip -n pod route add default via 10.42.9.1; ip netns exec pod {command}; ip netns delete pod"
    )


def test_pod_addresses_pass_between_hosts_uncounted(lab: LabStatus, sh: Callable[..., str]) -> None:
    """Routed pod traffic stays in the lab: it is neither dropped nor counted."""
    for host, own, other, via in (("s1", 1, 2, "10.92.20.12"), ("a2", 2, 1, "10.92.20.11")):
        sh(f"ip address replace 10.42.{own}.1/32 dev lo", host)
        sh(f"ip route replace 10.42.{other}.1/32 via {via} src 10.42.{own}.1", host)
    before = egress_report(NAME).packets
    sh("ping -c2 -W2 10.42.2.1")
    assert egress_report(NAME).packets == before
