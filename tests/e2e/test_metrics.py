"""Prometheus sees what says that it has metrics; alerts can come, and provoked ones clear by themselves."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.journey import Journey
from tests.e2e.prometheus import asked, come, in_prometheus
from tests.patience import eventually

pytestmark = [pytest.mark.lab, pytest.mark.journey]
RECORDINGS = Path(__file__).parents[1] / "charts" / "alerts"
RULES = Path(__file__).parents[2] / "charts/platform/prometheus/chart/files/rules"
KUBECTL = "k3s kubectl -n"
QUESTION = {"model": "smollm2:135m", "prompt": "The sea is", "max_tokens": 2}
IDLE_MIB = 250
TOLD = "/run/told"
# Takes mail and HTTP on the host and writes each down as a line of JSON.
RECEIVER = f"""
import http.server, json, socketserver, threading

def told(**what):
    with open("{TOLD}", "a") as file:
        file.write(json.dumps(what) + "\\n")

class Web(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode(errors="replace")
        told(how=self.path, token=self.headers.get("authorization", ""), body=body)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

class Mail(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 here\\r\\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            self.wfile.write({{b"DATA": b"354 go", b"QUIT": b"221 bye"}}.get(word, b"250 ok") + b"\\r\\n")
            if word == b"QUIT":
                return
            if word == b"DATA":
                lines = iter(self.rfile.readline, b".\\r\\n")
                told(how="mail", token="", body=b"".join(lines).decode())
                self.wfile.write(b"250 taken\\r\\n")

mail = socketserver.ThreadingTCPServer(("", 8025), Mail)
threading.Thread(target=mail.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("", 8099), Web).serve_forever()
"""


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """A lab host."""
    return make_journey("metrics")


@pytest.fixture(scope="module")
def first(ward: Journey) -> dict[str, Any]:
    """The summary of the first bootstrap."""
    ward.aiplat("secret", "set", "hook-token", str(ward.site_file), given="t0ken-of-the-hook")
    summary = ward.bootstrap()
    given = base64.b64encode(RECEIVER.encode()).decode()
    ward.on_host(f"echo {given} | base64 -d > /run/receiver.py")
    ward.on_host("systemd-run --unit=t-receiver python3 /run/receiver.py")
    return summary


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
    """Kubernetes and those that say so; PostgreSQL and the operator do not; each answers."""
    assert [c["sentence"] for c in first["checks"] if c["result"] == "FAIL"] == []
    names = ("prometheus", "kubernetes", "gateway", "node-exporter", "alertmanager")
    wanted = {(name, "1") for name in names}

    def seen() -> set[tuple[str, str]]:
        return {(s["metric"]["job"], s["value"][1]) for s in asked(ward, "up")}

    assert eventually(lambda: seen() == wanted), seen()


def test_the_node_is_seen_without_privileges(ward: Journey, first: dict[str, Any]) -> None:
    """Disk, memory, processors and clock are the host's own, by the node's name."""
    kib = int(ward.on_host("grep MemTotal /proc/meminfo").split()[1])
    come(ward, "node_memory_MemTotal_bytes")
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
    installed = in_prometheus(ward, "ls /etc/aiplat/rules").split()
    # Those of components that this site does not have come from their file.
    folder = "/etc/aiplat/rules/" if name in installed else "rules-"
    recording = (RECORDINGS / name).read_text().replace("RULES/", folder)
    given, rules = (
        base64.b64encode(text.encode()).decode() for text in (recording, (RULES / name).read_text())
    )
    script = f"""cd /srv/prometheus && mkdir -p tried && echo {given} | base64 -d > tried/{name} \
        && echo {rules} | base64 -d > tried/rules-{name} \
        && TMPDIR=/srv/prometheus/tried promtool test rules tried/{name}; code=$?; rm -rf tried; exit $code"""
    assert "SUCCESS" in in_prometheus(ward, script)


def test_kubernetes_itself_is_read(ward: Journey, first: dict[str, Any]) -> None:
    """Requests, etcd's size and times, certificates of clients; of its thousands of series no others."""
    come(
        ward,
        'apiserver_request_total{job="kubernetes"}',
        "apiserver_storage_size_bytes > 0",
        "etcd_request_duration_seconds_count",
        "apiserver_client_certificate_expiration_seconds_bucket",
        'process_resident_memory_bytes{job="kubernetes"}',
    )
    assert not asked(ward, "apiserver_request_duration_seconds_bucket")


def test_what_every_container_is_told_to_do_is_a_configuration(ward: Journey, first: dict[str, Any]) -> None:
    """By the images' own promtool and amtool."""
    in_prometheus(ward, "promtool check config /etc/aiplat/prometheus/prometheus.yml")
    check = "amtool check-config /etc/aiplat/alertmanager/alertmanager.yml"
    assert "2 receivers" in ward.on_host(f"{KUBECTL} aiplat-platform exec alertmanager-0 -- {check}")


def told(ward: Journey, how: str, what: str = "AccountsDatabaseAway") -> str:
    """Return everything that one receiver was told of something."""
    written = ward.on_host(f"cat {TOLD} 2>/dev/null || true")
    lines = [json.loads(line) for line in written.splitlines()]
    found = [f"{line['token']} {line['body']}" for line in lines if line["how"] == how]
    return "\n".join(text for text in found if what in text)


def test_a_request_is_a_trace_at_the_sites_endpoint(ward: Journey, first: dict[str, Any]) -> None:
    """With the model's name, and without the prompt."""
    with ward.platform() as client:
        assert client.post("completions", json=QUESTION).status_code == 200
    assert eventually(lambda: "text_completion smollm2:135m" in told(ward, "/traces", "/v1/completions"))
    assert not told(ward, "/traces", str(QUESTION["prompt"]))


def test_logs_are_read_by_component(ward: Journey, first: dict[str, Any]) -> None:
    """Of pods with the kubeconfig, of units of the host over ssh; each line with time, level and source."""
    at = ("--site", str(ward.site_file), "--json")
    for name, source in (
        ("gateway", "gateway-"),
        ("postgresql", "postgresql-0"),
        ("k3s", "t-metrics-s1/k3s"),
    ):
        lines = ward.lines("logs", name, "--tail", "20", *at)
        assert lines, name
        assert all(line["source"].startswith(source) and line["time"] for line in lines), lines
    assert ward.lines("logs", "--model", "smollm2:135m", "--since", "1d", *at)
    assert 'did you mean "gateway"' in ward.aiplat("logs", "gatway", *at, expect=2).stderr


def test_a_database_that_stops_is_an_alert_until_it_is_back(ward: Journey, first: dict[str, Any]) -> None:
    """Nobody has to acknowledge anything; mail, webhook and chat are told."""
    assert "AccountsDatabaseAway" not in firing(ward)
    scale(ward, "aiplat-data", "statefulset/postgresql", 0)
    with somebody_asking(ward):
        assert eventually(lambda: "AccountsDatabaseAway" in firing(ward))
        assert eventually(lambda: all(told(ward, how) for how in ("mail", "/hook", "/chat")))
    assert "Bearer t0ken-of-the-hook" in told(ward, "/hook")
    assert "[t-metrics] firing: AccountsDatabaseAway (critical)" in told(ward, "/chat")
    assert "docs/how-to/alerts.md#accountsdatabaseaway" in told(ward, "mail").replace("=\n", "")
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
    """What the README says: all programs together."""
    used = 0
    for workload in ("statefulset/prometheus", "daemonset/node-exporter", "statefulset/alertmanager"):
        told = ward.on_host(f"{KUBECTL} aiplat-platform exec {workload} -- grep VmRSS /proc/1/status")
        used += int(told.split()[1])
    assert used < IDLE_MIB * 1024, used


def test_a_second_run_changes_nothing(ward: Journey, first: dict[str, Any]) -> None:
    """What was stopped and started again is as the site wants it."""
    assert ward.bootstrap()["changed"] == 0
