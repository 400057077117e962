"""Prometheus sees what says that it has metrics; alerts can come, and provoked ones clear by themselves."""

from __future__ import annotations

import base64
import json
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.journey import Journey
from tests.patience import eventually

pytestmark = [pytest.mark.lab, pytest.mark.journey]
RECORDINGS = Path(__file__).parents[1] / "charts" / "alerts"
KUBECTL = "k3s kubectl -n"
QUESTION = {"model": "smollm2:135m", "prompt": "The sea is", "max_tokens": 2}
IDLE_MIB = 250


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """A lab host."""
    return make_journey("metrics")


@pytest.fixture(scope="module")
def first(ward: Journey) -> dict[str, Any]:
    """The summary of the first bootstrap."""
    return ward.bootstrap()


def in_prometheus(ward: Journey, script: str) -> str:
    """Run a shell script where Prometheus runs."""
    return ward.on_host(f"{KUBECTL} aiplat-platform exec prometheus-0 -- sh -c {shlex.quote(script)}")


def asked(ward: Journey, query: str) -> list[dict[str, Any]]:
    """Return the samples that a query finds now."""
    told = in_prometheus(ward, f"promtool query instant -o json http://localhost:9090 {shlex.quote(query)}")
    return list(json.loads(told))


def firing(ward: Journey) -> set[str]:
    """Return the alerts that fire."""
    return {s["metric"]["alertname"] for s in asked(ward, 'ALERTS{alertstate="firing"}')}


def scale(ward: Journey, namespace: str, what: str, replicas: int) -> None:
    """Have so many pods of a workload."""
    ward.on_host(f"{KUBECTL} {namespace} scale {what} --replicas={replicas}")


@contextmanager
def somebody_asking(ward: Journey) -> Iterator[None]:
    """Have requests for the model under way all the time, whatever is answered."""
    over = threading.Event()

    def ask() -> None:
        with ward.platform() as client:
            while not over.is_set():
                client.post("completions", json=QUESTION)
                over.wait(1)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        yield
    finally:
        over.set()
        for asker in askers:
            asker.join()


def test_what_has_metrics_is_read_and_nothing_else(ward: Journey, first: dict[str, Any]) -> None:
    """The gateway and the node exporter say so, PostgreSQL and the operator do not; every pod answers."""
    assert [c["sentence"] for c in first["checks"] if c["result"] == "FAIL"] == []
    wanted = {("prometheus", "1"), ("gateway", "1"), ("node-exporter", "1")}

    def seen() -> set[tuple[str, str]]:
        return {(s["metric"]["job"], s["value"][1]) for s in asked(ward, "up")}

    assert eventually(lambda: seen() == wanted), seen()


def test_the_node_is_seen_without_privileges(ward: Journey, first: dict[str, Any]) -> None:
    """Disk, memory, processors and clock are the host's own, by the node's name."""
    kib = int(ward.on_host("grep MemTotal /proc/meminfo").split()[1])
    assert eventually(lambda: bool(asked(ward, "node_memory_MemTotal_bytes")))
    (memory,) = asked(ward, "node_memory_MemTotal_bytes")
    assert (memory["metric"]["node"], float(memory["value"][1])) == ("t-metrics-s1", kib * 1024)
    for series in (
        'node_filesystem_avail_bytes{mountpoint="/disks/kubelet"} > 0',
        'node_filesystem_readonly{mountpoint="/disks/kubelet"} == 0',
        "node_timex_maxerror_seconds",
        "node_boot_time_seconds > 0",
        'node_cpu_seconds_total{mode="idle"}',
        "node_vmstat_oom_kill",
        "node_filefd_maximum",
    ):
        assert asked(ward, series), series


@pytest.mark.parametrize("name", sorted(p.name for p in RECORDINGS.glob("*.yaml")))
def test_each_rule_fires_on_a_recording(name: str, ward: Journey, first: dict[str, Any]) -> None:
    """By the image's promtool, on the installed rules: labels and texts too; silent where all is well."""
    recording = (RECORDINGS / name).read_text().replace("RULES/", "/etc/aiplat/rules/")
    given = base64.b64encode(recording.encode()).decode()
    script = f"""cd /srv/prometheus && mkdir -p tried && echo {given} | base64 -d > tried/{name} \
        && TMPDIR=/srv/prometheus/tried promtool test rules tried/{name}; code=$?; rm -rf tried; exit $code"""
    assert "SUCCESS" in in_prometheus(ward, script)


def test_a_database_that_stops_is_an_alert_until_it_is_back(ward: Journey, first: dict[str, Any]) -> None:
    """Nobody has to acknowledge anything."""
    assert "AccountsDatabaseAway" not in firing(ward)
    scale(ward, "aiplat-data", "statefulset/postgresql", 0)
    with somebody_asking(ward):
        assert eventually(lambda: "AccountsDatabaseAway" in firing(ward))
    scale(ward, "aiplat-data", "statefulset/postgresql", 1)
    assert eventually(lambda: "AccountsDatabaseAway" not in firing(ward))


def test_a_model_that_is_asked_and_does_not_run_is_an_alert(ward: Journey, first: dict[str, Any]) -> None:
    """Its engine is stopped while the operator is away; the operator starts it again, and the alert goes."""
    scale(ward, "aiplat-model", "deployment/operator", 0)
    scale(ward, "aiplat-model", "deployment -l aiplat.dev/engine", 0)
    with somebody_asking(ward):
        assert eventually(lambda: "ModelWithoutReplica" in firing(ward))
        scale(ward, "aiplat-model", "deployment/operator", 1)
        assert eventually(lambda: "ModelWithoutReplica" not in firing(ward))


def test_idle_it_takes_little_memory(ward: Journey, first: dict[str, Any]) -> None:
    """What the README says: both programs together."""
    used = 0
    for workload in ("statefulset/prometheus", "daemonset/node-exporter"):
        told = ward.on_host(f"{KUBECTL} aiplat-platform exec {workload} -- grep VmRSS /proc/1/status")
        used += int(told.split()[1])
    assert used < IDLE_MIB * 1024, used


def test_a_second_run_changes_nothing(ward: Journey, first: dict[str, Any]) -> None:
    """What was stopped and started again is as the site wants it."""
    assert ward.bootstrap()["changed"] == 0
