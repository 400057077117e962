"""A whole journey without an attempt to leave the site, shown by a record of it; what is planted is named."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.journey import AIPLAT, Journey, site_to_change
from tests.patience import PATIENCE

pytestmark = [pytest.mark.lab, pytest.mark.journey]
# It asks for a name, and connects to an address that nobody has (TEST-NET-1).
PLANTED = (
    "nslookup planted.example.org; "
    "for i in 1 2 3; do wget -q -T 2 -O - http://192.0.2.9:8443/ && exit 0; done; true"
)


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[Path], Journey], tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """A lab host on which nothing is installed."""
    return make_journey(site_to_change("egress", tmp_path_factory.mktemp("site")))


@contextmanager
def recorded(ward: Journey, report: Path) -> Iterator[dict[str, Any]]:
    """Record what the site sends outside while something else happens; the map has the report afterwards."""
    words = [AIPLAT, "verify", str(ward.site_file), "--egress", "--for", "2h", "--report", str(report)]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "recording on the hosts of t-egress" in process.stderr.readline()
    found: dict[str, Any] = {}
    try:
        yield found
    finally:
        process.send_signal(signal.SIGINT)
        table, _ = process.communicate(timeout=PATIENCE)
    found.update(json.loads(report.read_text()), exit=process.returncode, table=table)


def nothing(report: dict[str, Any]) -> None:
    """See that a host was recorded to the end and that nothing was tried, by the lab's own counter too."""
    assert (report["exit"], report["attempts"], report["lab"]["packets"]) == (0, [], 0), report["table"]
    assert [host["problem"] for host in report["hosts"]] == [""]


def test_nothing_leaves_from_bare_host_to_answer(ward: Journey, tmp_path: Path) -> None:
    """Bootstrap, a change, a model, a question: not one attempt, of any pod or process, DNS included."""
    site = str(ward.site_file)
    with recorded(ward, tmp_path / "egress.json") as report:
        ward.bootstrap()
        with ward.site_file.open("a") as file:
            file.write("planes: {platform: {node-exporter: {state: on}}}\n")
        assert ward.bootstrap()["changed"] > 0
        ward.aiplat("model", "deploy", "again", "--from", "smollm2:135m", "--site", site)
        ward.aiplat("chat", site, "--once", "What is the capital of Italy?")
    nothing(report)


def test_a_planted_attempt_is_named_by_pod_and_address(ward: Journey, tmp_path: Path) -> None:
    """A pod asks for a name and connects outside: the report has the pod, its address, and what it wanted."""
    run = f"run planted --image={ward.image('mirrored-library-busybox')} --restart=Never --attach --rm"
    with recorded(ward, tmp_path / "planted.json") as report:
        ward.on_host(f"k3s kubectl {run} -- sh -c '{PLANTED}' >&2")
    assert report["exit"] == 3
    mine = [one for one in report["attempts"] if one["pod"] == "default/planted"]
    assert {one["source"].rpartition(".")[0] for one in mine} == {"10.42.0"}, report["table"]
    assert "planted.example.org" in {one["name"] for one in mine}
    connection = next(one for one in mine if one["destination"] == "192.0.2.9")
    assert (connection["protocol"], connection["port"]) == ("tcp", 8443)
    assert "wget" in {one["process"] for one in mine}
    assert connection["left"] > 0
    assert report["lab"]["packets"] > 0
    assert "pod default/planted" in report["table"]


def test_nothing_leaves_while_everything_is_taken_off(ward: Journey, tmp_path: Path) -> None:
    """The reset ends what runs and removes it, and asks nobody outside."""
    with recorded(ward, tmp_path / "reset.json") as report:
        ward.aiplat("reset", str(ward.site_file), "--yes")
    nothing(report)
