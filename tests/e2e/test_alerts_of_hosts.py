"""A host is lost, a disk is full, the database stops: the alert comes in two minutes and goes by itself."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.lab import bridge, cgroups, lab_up, machine
from aiplat.lab.record import tree_dir
from aiplat.shipped import shipped
from aiplat.site.load import load_site
from tests.e2e.journey import SITES, Journey
from tests.e2e.prometheus import asked, come
from tests.patience import eventually, until

pytestmark = [pytest.mark.lab, pytest.mark.journey]

SERVER, WITH_DISK, TO_LOSE = "t-alerts-s1", "t-alerts-a1", "t-alerts-a2"
KUBECTL = "k3s kubectl"
RULES = shipped("charts/platform/prometheus/chart/files/rules")
SECONDS = 120
# A disk of its own for the data folder: a file of 8 GiB that takes no more room than is written.
DISK = """set -e
mknod /dev/loop-control c 10 237
truncate -s 8G /srv/disk.img && mkfs.ext4 -q -F /srv/disk.img
loop=$(losetup -f) && mknod $loop b 7 ${loop#/dev/loop}
mkdir -p /data && mount -o loop=$loop /srv/disk.img /data"""
# Blocks are taken and not written: the disk is full, and the machine below it is not.
FILL = "fallocate -l $(($(df --output=avail -B1 /data | tail -1) - (8 << 20))) /data/filler"


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str | Path], Journey], tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """A server with all of the platform's pods, and two agents that came later."""
    first = tmp_path_factory.mktemp("site") / "site.yaml"
    lines = (SITES / "alerts-of-hosts.yaml").read_text().splitlines()
    first.write_text("\n".join(line for line in lines if "role: agent" not in line))
    assert make_journey(first).bootstrap()["words"]["answer"]
    journey = make_journey("alerts-of-hosts")
    journey.on_host(DISK, host=WITH_DISK)
    summary = journey.bootstrap()
    assert [c["sentence"] for c in summary["checks"] if c["result"] == "FAIL"] == []
    return journey


def now(ward: Journey) -> float:
    """Return the time of the host that Prometheus is on, in seconds."""
    return float(ward.on_host("date +%s"))


def fires(ward: Journey, alert: str, **labels: str) -> bool:
    """Whether an alert fires for something with these labels."""
    found = asked(ward, f'ALERTS{{alertstate="firing",alertname="{alert}"}}')
    return any(labels.items() <= sample["metric"].items() for sample in found)


def took(ward: Journey, alert: str, began: float) -> float:
    """Return after how many seconds an alert was there, by the clock of the host that Prometheus is on."""
    firing = f'ALERTS{{alertstate="firing",alertname="{alert}"}}'

    def first() -> list[dict[str, Any]]:
        # Whole seconds: one that began within this second is there when it is asked for again.
        since = int(now(ward) - began) + 1
        return asked(ward, f"min(min_over_time(timestamp({firing})[{since}s:1s]))")

    seconds = float(until(first)[0]["value"][1]) - began
    print(f"{alert}: after {seconds:.0f} s")  # noqa: T201 - what the journey is for
    return seconds


def attention(ward: Journey) -> str:
    """Return what `aiplat status` says needs attention."""
    return "\n".join(ward.document("status")["attention"])


def shown(ward: Journey) -> str:
    """Return what the portal shows of alerts: its own code asks, from its pod, as for a page."""
    program = (
        "import asyncio; from aiplat.services.portal.alerts import Alerts, Runbook; "
        "known = Alerts('http://prometheus.aiplat-platform:9090', Runbook.shipped()); "
        "print(*asyncio.run(known.firing()), sep='\\n')"
    )
    pod = f"{KUBECTL} -n aiplat-user-serving exec deployment/portal -- python3 -c"
    return ward.on_host(f"{pod} {shlex.quote(program)}")


def test_states_of_all_three_nodes_are_seen(ward: Journey) -> None:
    """By the names and labels that kube-state-metrics documents; the pods' own names are kept."""
    ready = 'kube_node_status_condition{condition="Ready",status="true",job="kube-state-metrics"} == 1'
    assert eventually(
        lambda: {s["metric"]["node"] for s in asked(ward, ready)} == {SERVER, WITH_DISK, TO_LOSE}
    )
    come(
        ward,
        'kube_pod_status_phase{namespace="aiplat-data",pod="postgresql-0",phase="Running"} == 1',
        f'kube_pod_info{{pod=~"node-exporter.*",node="{TO_LOSE}"}}',
        'kube_statefulset_status_replicas_ready{statefulset="postgresql"} == 1',
        'kube_deployment_status_replicas_available{deployment="operator"} == 1',
        'kube_persistentvolumeclaim_status_phase{namespace="aiplat-data",phase="Bound"} == 1',
        'kube_pod_container_status_restarts_total{container="gateway"}',
    )
    assert not asked(ward, "aiplat_states_left_out > 0")


def test_the_database_is_seen(ward: Journey) -> None:
    """Its connections and sizes, by a role that reads no rows."""
    come(
        ward,
        "pg_up == 1",
        'pg_database_size_bytes{datname="aiplat"} > 0',
        "pg_settings_max_connections == 100",
        'pg_stat_activity_count{datname="aiplat"} > 0',
        'pg_database_wraparound_age_datfrozenxid_seconds{datname="aiplat"}',
    )


def test_nothing_of_it_is_an_alert_where_all_is_well(ward: Journey) -> None:
    """Of the rules that the two components bring, none."""
    brought = YAML(typ="safe", pure=True)
    names = [
        rule["alert"]
        for component in ("kube-state-metrics", "postgres-exporter")
        for group in brought.load(RULES / f"when-{component}.yaml")["groups"]
        for rule in group["rules"]
    ]
    firing = f'ALERTS{{alertstate="firing",alertname=~"{"|".join(names)}"}}'
    assert eventually(lambda: asked(ward, firing) == []), asked(ward, firing)


def test_a_database_that_stops_is_an_alert_until_it_is_back(ward: Journey) -> None:
    """Also where nobody asks for a model."""
    began = now(ward)
    ward.on_host(f"{KUBECTL} -n aiplat-data scale statefulset/postgresql --replicas=0")
    assert eventually(lambda: fires(ward, "DatabaseDown"))
    assert took(ward, "DatabaseDown", began) < SECONDS
    ward.on_host(f"{KUBECTL} -n aiplat-data scale statefulset/postgresql --replicas=1")
    assert eventually(lambda: not fires(ward, "DatabaseDown"))


def test_a_full_disk_is_an_alert_until_there_is_room(ward: Journey) -> None:
    """The node says so too, and ends pods; not the one that tells of it. The status names disk and host."""
    began = now(ward)
    ward.on_host(FILL, host=WITH_DISK)
    assert eventually(lambda: fires(ward, "NodeDiskFull", node=WITH_DISK))
    assert took(ward, "NodeDiskFull", began) < SECONDS
    assert eventually(
        lambda: fires(ward, "NodeUnderPressure", node=WITH_DISK, condition="DiskPressure"),
    )
    said = attention(ward)
    assert f"{WITH_DISK}: the disk at /data is full" in said
    assert "make room there" in said
    assert f"{WITH_DISK}: its disk is nearly full, so it ends pods and takes no others" in said
    assert f"critical NodeDiskFull {WITH_DISK}" in shown(ward)
    ward.on_host("rm /data/filler", host=WITH_DISK)
    assert eventually(lambda: not fires(ward, "NodeDiskFull"))
    # The kubelet believes it only after five minutes, longer than one command may take.
    gone = f"{KUBECTL} wait --for=condition=DiskPressure=False node/{WITH_DISK} --timeout=250s"
    ward.on_host(f"{gone} || true")
    ward.on_host(gone)
    assert eventually(lambda: not fires(ward, "NodeUnderPressure"))


def lose(lab: str, host: str) -> None:
    """End a host at once, as one whose power is gone."""
    before = len(bridge.bridge_links(lab))
    found = machine.find(tree_dir(lab, host))
    assert found is not None
    groups = [group / host for group in cgroups.lab_groups(cgroups.this_machine(), lab)]
    machine.end_all(groups, [found.pid])
    assert eventually(lambda: len(bridge.bridge_links(lab)) < before)


def test_a_lost_host_is_an_alert_until_it_is_back(ward: Journey) -> None:
    """It clears when the host has started again; nobody does anything else."""
    began = now(ward)
    lose(ward.name, TO_LOSE)
    assert eventually(lambda: fires(ward, "NodeNotReady", node=TO_LOSE))
    assert took(ward, "NodeNotReady", began) < SECONDS
    assert eventually(lambda: fires(ward, "NodeUnseen", node=TO_LOSE))
    said = attention(ward)
    assert f"{TO_LOSE}: Kubelet stopped posting node status" in said
    assert "aiplat doctor hosts" in said
    on_page = shown(ward)
    assert f"critical NodeNotReady {TO_LOSE}" in on_page
    assert "The host is off, its network is down" in on_page
    lab_up(load_site(ward.site_file))
    assert eventually(lambda: not fires(ward, "NodeNotReady"))
    assert eventually(lambda: not fires(ward, "NodeUnseen"))
    assert "NodeNotReady" not in shown(ward)
