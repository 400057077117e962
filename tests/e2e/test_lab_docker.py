"""Lab hosts in a Docker engine: up, reached, closed off, kept and put back, rebooted, bootstrapped, gone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiplat.errors import BadInput
from aiplat.lab import egress_report, lab_down, lab_restore, lab_snapshot, lab_status, lab_up
from aiplat.lab.docker_hosts import container_name
from aiplat.lab.engine import everything, listed
from aiplat.lab.restores import cut_off
from aiplat.site.load import load_site
from aiplat.verify.smoke_test import CHAT
from tests.e2e.docker_engine import docker_engine
from tests.e2e.journey import AIPLAT, SITES, Journey
from tests.patience import PATIENCE, until

pytestmark = [pytest.mark.lab, pytest.mark.journey]
NAME = "t-docker"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Docker engine."""
    with docker_engine(tmp_path_factory.mktemp("engine")):
        yield


@pytest.fixture(scope="module")
def lab(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """Two hosts in the engine."""
    file, state = SITES / "lab-docker.yaml", tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(state))
        lab_up(load_site(file), driver="docker")
        yield Journey(NAME, file, state)
        lab_down(NAME)
        assert not any(everything(NAME).values())
    shutil.rmtree(state)


def test_its_hosts_are_whole_machines(lab: Journey) -> None:
    """Systemd has started all that there is, and ssh lets in whoever has the lab's key."""
    seen = lab_status(NAME)
    assert (seen.state, seen.driver, [h.state for h in seen.hosts]) == ("up", "docker", ["up", "up"])
    for host in ("t-docker-s1", "t-docker-a1"):
        assert lab.on_host("systemctl is-system-running --wait", host).strip() == "running"
        assert lab.on_host("hostname", host).strip() == host


def test_done_again_there_is_nothing_to_do(lab: Journey) -> None:
    """The same containers run on."""
    before = lab_status(NAME).hosts
    assert lab_up(load_site(lab.site_file)).changed == 0
    assert lab_status(NAME).hosts == before


def test_hosts_reach_each_other_and_nothing_else(lab: Journey) -> None:
    """What tries to leave is counted and dropped, questions for names too."""
    lab.on_host("ping -c1 -W5 10.97.134.12", "t-docker-s1")
    before = egress_report(NAME).packets
    lab.on_host("! ping -c1 -W1 9.9.9.9 && ! timeout 5 getent hosts example.com", "t-docker-s1")
    report = egress_report(NAME)
    assert report.packets > before
    assert {a.protocol for a in report.attempts} == {"icmp", "udp"}


def test_a_host_that_reboots_comes_back(lab: Journey) -> None:
    """As a machine does, with what was on its disk."""
    lab.on_host("touch /root/here", "t-docker-a1")
    before = lab_status(NAME).hosts[1]
    lab.on_host("systemd-run --on-active=1 systemctl reboot", "t-docker-a1")

    def other() -> bool:
        host = lab_status(NAME).hosts[1]
        return host.state == "up" and host.started != before.started

    until(other, lambda: lab_status(NAME), pause=0.2)
    until(lambda: lab.reached("t-docker-a1"), pause=0.2)
    lab.on_host("test -e /root/here", "t-docker-a1")


def test_a_snapshot_is_put_back(lab: Journey) -> None:
    """The root and /var, which is on a volume of its own."""
    both = "/root/mark /var/mark"
    lab.on_host(f"echo before | tee {both}", "t-docker-s1")
    lab_snapshot(NAME, "clean")
    lab.on_host(f"echo after | tee {both}", "t-docker-s1")
    lab_restore(NAME, "clean")
    assert lab.on_host(f"cat {both}", "t-docker-s1").split() == ["before", "before"]
    lab.on_host(f"rm {both}", "t-docker-s1")


def test_a_restore_that_is_killed_is_finished_by_the_next(lab: Journey) -> None:
    """Until then `up` and `snapshot` say how to finish it."""
    hosts = ("t-docker-s1", "t-docker-a1")
    for host in hosts:
        lab.on_host("rm -f /root/mark; echo after >/var/mark", host)
    argv = [AIPLAT, "lab", "restore", str(lab.site_file), "--label", "clean"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        first = container_name(NAME, hosts[0])
        until(
            lambda: process.poll() is not None or (cut_off(NAME) and first not in listed("container", NAME))
        )
        process.kill()
    assert lab_status(NAME).state == "partial"
    for verb in (lambda: lab_up(load_site(lab.site_file)), lambda: lab_snapshot(NAME, "next")):
        with pytest.raises(BadInput, match=f"half put back .* aiplat lab restore {NAME} --label clean"):
            verb()
    lab_restore(NAME, "clean")
    assert lab_status(NAME).state == "up"
    assert lab.on_host("cat /root/mark /var/mark", hosts[0]).split() == ["before", "before"]
    assert lab.on_host("ls /var/mark || true", hosts[1]) == ""
    lab.on_host("rm /root/mark /var/mark", hosts[0])


def test_a_site_is_bootstrapped_on_them(lab: Journey) -> None:
    """From bare hosts to a model's answer; a second run changes nothing, and nothing tried to leave."""
    before = egress_report(NAME).packets
    summary = lab.bootstrap()
    assert [c["sentence"] for c in summary["checks"] if c["result"] == "FAIL"] == []
    assert CHAT.contains in summary["words"]["answer"]
    assert lab.bootstrap()["changed"] == 0
    assert egress_report(NAME).packets == before


def test_what_goes_is_said(lab: Journey) -> None:
    """Containers, volumes, snapshots, network, rules and keys, found by the lab's name."""
    said = "\n".join(lab_down(NAME))
    assert all(f"{kind} " in said for kind in ("container", "image", "volume", "network", "nftables table"))
    rules = subprocess.run(
        ["nft", "list", "tables"], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert NAME not in rules.stdout
    assert not Path(lab.state, "aiplat", "labs", NAME).exists()
