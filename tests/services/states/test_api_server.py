"""The exporter as a process of its own, under its own account, against a real API server without nodes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from aiplat.services.portal.alerts import Alerts, Runbook
from aiplat.services.portal.cluster import Concern
from aiplat.shipped import shipped
from tests.charts.conftest import documents
from tests.patience import PATIENCE, eventually, until
from tests.ports import free_port
from tests.services.operator.api_server import STATES, ApiServer, api_server, fetch_program, install
from tests.services.operator.worlds import node

# What the lab's hosts run has to be built first, which takes minutes once.
pytestmark = pytest.mark.lab
GOLDEN = Path(__file__).parents[2] / "charts" / "golden" / "kube-state-metrics.yaml"
RULES = shipped("charts/platform/prometheus/chart/files/rules")
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "waits", "namespace": "aiplat-model"},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with what the component's release brings, a node, and a pod that nothing starts."""
    server = api_server(tmp_path_factory.mktemp("api"))
    try:
        server.start()
        install(server, documents(GOLDEN.read_text()))
        described = node()
        assert server.apply({**described, "spec": {}, "status": {}}) == ""
        assert server.apply(described, "/status") == ""
        assert server.apply(POD) == ""
        yield server
    finally:
        server.stop()


@pytest.fixture
def exporter(api: ApiServer) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The process, and its address."""
    port = free_port()
    options = (f"--port={port}", "--kubeconfig", str(api.kubeconfig(STATES)))
    process = subprocess.Popen([sys.executable, "-m", "aiplat.services.states", *options])
    yield process, f"http://127.0.0.1:{port}"
    process.kill()
    process.wait(PATIENCE)


@pytest.fixture
def prometheus(
    exporter: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> Iterator[Callable[[], list[Concern]]]:
    """A real Prometheus with the installed rules; what the portal makes of its alerts."""
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 2s, evaluation_interval: 2s}}\n"
        f"rule_files: [{RULES / 'when-kube-state-metrics.yaml'}]\n"
        "scrape_configs:\n- job_name: kube-state-metrics\n  honor_labels: true\n"
        f"  static_configs: [{{targets: [{exporter[1].removeprefix('http://')}]}}]\n"
    )
    program = fetch_program(tmp_path / "package", "prometheus", "prometheus")
    options = [f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    process = subprocess.Popen([program, *options, f"--web.listen-address=127.0.0.1:{port}"])
    alerts = Alerts(f"http://127.0.0.1:{port}", Runbook.shipped())
    yield lambda: asyncio.run(alerts.firing())
    process.kill()
    process.wait(PATIENCE)


def answered(address: str) -> httpx.Response | None:
    """Return the page of metrics, or None while there is none."""
    try:
        answer = httpx.get(f"{address}/metrics", trust_env=False)
    except httpx.TransportError:
        return None
    return answer if answer.is_success else None


def test_everything_is_read_with_the_rights_of_the_release(
    exporter: tuple[subprocess.Popen[bytes], str],
) -> None:
    """No list is refused; a signal ends it at once and well."""
    process, address = exporter
    page = until(lambda: answered(address)).text
    found = [s for family in text_string_to_metric_families(page) for s in family.samples]
    lists = [s for s in found if s.name == "kube_state_metrics_list_total"]
    assert {s.labels["result"] for s in lists} == {"success"}
    assert len(lists) == 11
    values = {
        (s.name, s.labels.get("pod") or s.labels.get("node"), s.labels.get("phase")): s.value for s in found
    }
    assert values["kube_pod_status_phase", "waits", "Pending"] == 1
    assert any(name == "kube_node_info" for name, *_ in values)
    assert httpx.get(f"{address}/healthz", trust_env=False).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_a_node_that_is_lost_and_short_of_disk_is_on_the_portals_page_until_it_is_well(
    api: ApiServer, prometheus: Callable[[], list[Concern]]
) -> None:
    """From the API's conditions by exporter, Prometheus and rules to what people read; nobody clears it."""
    states = [("Ready", "Unknown"), ("DiskPressure", "True")]
    conditions = [{"type": kind, "status": status} for kind, status in states]
    described = node()
    sick = {**described, "status": {**described["status"], "conditions": conditions}}
    assert eventually(lambda: prometheus() == [])
    assert api.apply(sick, "/status") == ""
    wanted = ["critical NodeNotReady n1", "warning NodeUnderPressure n1"]
    assert eventually(lambda: [concern.where for concern in prometheus()] == wanted)
    assert "The host is off, its network is down" in prometheus()[0].problem
    well = [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]
    api.apply({**described, "status": {**described["status"], "conditions": well}}, "/status")
    assert eventually(lambda: prometheus() == [])
