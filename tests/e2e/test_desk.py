"""Three machines: what is wrong with them is named, and init writes a site file that bootstraps unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aiplat.site.load import load_site
from tests.e2e.journey import Journey

pytestmark = [pytest.mark.lab, pytest.mark.journey]

# Which check is to name what is done to the first agent; all of it is taken back before the installation.
DEFECTS = {
    "ports-free": "systemd-run -q --unit d-port python3 -m http.server 10250",
    "leftover-links": "ip link add cni0 type bridge",
    "leftover-data": "mkdir -p /var/lib/rancher/k3s/server && touch /var/lib/rancher/k3s/server/token",
    "leftover-files": "mkdir -p /var/lib/kubelet && touch /var/lib/kubelet/config.yaml",
    "leftover-cni": "mkdir -p /etc/cni/net.d && echo '{}' > /etc/cni/net.d/10-calico.conflist",
    "node-password": "mkdir -p /etc/rancher/node && echo x > /etc/rancher/node/password",
    "foreign-k3s": "echo '[Service]' > /etc/systemd/system/k3s-agent.service",
    "kubeadm": "mkdir -p /etc/kubernetes && touch /etc/kubernetes/admin.conf",
    "rke2": "mkdir -p /etc/rancher/rke2 && touch /etc/rancher/rke2/config.yaml",
    "k0s": "mkdir -p /var/lib/k0s && touch /var/lib/k0s/db",
    "hostname-unique": "hostname t-desk-s1",
    "machine-id-unique": "cp /etc/machine-id /root/machine-id; cat /root/other-id > /etc/machine-id",
    "networks-free": "ip route add 10.42.7.0/24 via 10.97.61.1",
    "one-default-route": "ip link add d0 type bridge && ip addr add 10.98.0.2/24 dev d0 && ip link set d0 up "
    "&& ip route append default via 10.98.0.1 dev d0",
    "proxy": "echo https_proxy=http://proxy.example:3128 >> /etc/environment",
    "search-domains": "cp -L /etc/resolv.conf /root/; echo search a b c d e f g > /etc/resolv.conf",
    "forwarding-kept": "echo net.ipv4.ip_forward=0 > /etc/sysctl.d/99-hard.conf",
    "restart-pending": "touch /var/run/reboot-required",
    "ufw": "mkdir -p /etc/ufw && echo ENABLED=yes > /etc/ufw/ufw.conf",
    "programs-noexec": "mount --bind /usr/local /usr/local && mount -o remount,bind,noexec /usr/local",
    "tmp-noexec": "mount -t tmpfs -o noexec,size=200m tmpfs /tmp",
    "disk-tmp": "mount -t tmpfs -o noexec,size=20m tmpfs /tmp",
}
UNDO = """
systemctl stop d-port; ip link del cni0; ip route del 10.42.7.0/24; ip link del d0
rm -rf /var/lib/rancher /var/lib/kubelet /etc/cni /etc/rancher /etc/kubernetes /var/lib/k0s /etc/ufw
rm -f /etc/systemd/system/k3s-agent.service /etc/sysctl.d/99-hard.conf /var/run/reboot-required
hostname t-desk-a1; cat /root/machine-id > /etc/machine-id; rm -f /root/machine-id /root/other-id
sed -i /https_proxy/d /etc/environment; cat /root/resolv.conf > /etc/resolv.conf; rm -f /root/resolv.conf
umount /tmp; umount /tmp; umount /usr/local; true
"""


@pytest.fixture(scope="module")
def desk(make_journey: Callable[[str], Journey], tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """Three hosts with nothing on them, and the place of the site file that init is to write."""
    lab = make_journey("desk")
    return Journey(lab.name, tmp_path_factory.mktemp("desk") / "site.yaml", lab.state)


def _named(journey: Journey) -> tuple[list[str], list[str]]:
    """Return the lab's hosts as a person names them, and the key that opens them."""
    hosts = load_site(Path(__file__).parent / "sites" / "desk.yaml").hosts
    key = journey.state / "aiplat" / "sites" / journey.name / "ssh_key"
    return [f"root@{host.address}" for host in hosts], ["--key", str(key)]


def _init(journey: Journey, expect: int = 0) -> dict[str, object]:
    hosts, key = _named(journey)
    words = [
        "init",
        *hosts,
        *key,
        "--name",
        journey.name,
        "--output",
        str(journey.site_file),
        "--yes",
        "--json",
    ]
    document: dict[str, object] = json.loads(journey.aiplat(*words, expect=expect).stdout)
    return document


def test_init_writes_a_good_site_file(desk: Journey) -> None:
    """Names, system and networks are those of the hosts; nothing is wrong with lab hosts."""
    document = _init(desk)
    site = load_site(desk.site_file)
    assert [(h.name, h.role, h.os) for h in site.hosts] == [
        ("t-desk-s1", "server", "debian-12"),
        ("t-desk-a1", "agent", "debian-12"),
        ("t-desk-a2", "agent", "debian-12"),
    ]
    assert [m.name for m in site.models] == ["gemma3:270m"]
    assert document["text"] == desk.site_file.read_text()
    assert desk.document("doctor", "hosts")["ok"] is True


def test_prepared_defects_of_a_host_are_named(desk: Journey) -> None:
    """Each is found by the check that is for it, a plan refuses blockers, and all of it can be undone."""
    other = desk.on_host("cat /etc/machine-id", "t-desk-s1").strip()
    desk.on_host(f"echo {other} > /root/other-id", "t-desk-a1")
    for command in DEFECTS.values():
        desk.on_host(command, "t-desk-a1")
    report = desk.document("doctor", "hosts", expect=3)
    host = next(h for h in report["hosts"] if h["host"] == "t-desk-a1")
    named = {trouble["check"] for trouble in host["troubles"]}
    assert set(DEFECTS) <= named, sorted(set(DEFECTS) - named)
    refused = json.loads(desk.aiplat("plan", str(desk.site_file), "--json", expect=2).stdout)
    assert any("cni0" in finding["problem"] for finding in refused["refusals"])
    assert any("reboot-required" in finding["problem"] for finding in refused["warnings"])
    desk.on_host(UNDO, "t-desk-a1")
    assert desk.document("doctor", "hosts")["ok"] is True


def test_the_file_that_init_wrote_bootstraps_unchanged(desk: Journey) -> None:
    """Three nodes, a model that answers, and a second run that changes nothing."""
    written = desk.site_file.read_bytes()
    first = desk.bootstrap()
    assert first["words"]["answer"]
    assert desk.bootstrap()["changed"] == 0
    assert desk.site_file.read_bytes() == written
    assert desk.document("doctor", "hosts")["ok"] is True
