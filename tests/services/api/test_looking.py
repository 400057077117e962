"""What the API says of a running site: the command line's documents, asked of real servers on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiplat.actions.status import status
from aiplat.services.api.launch import Launcher
from aiplat.services.api.problems import ApiProblem
from aiplat.services.api.reports import Reports
from aiplat.site.load import load_site
from aiplat.site.models import Host, Site
from aiplat.state import site_dir
from tests.cluster import kube as given
from tests.patience import PATIENCE
from tests.services.api.conftest import Api, People, Place
from tests.services.api.server import RUNNER
from tests.verify.loopback import MODEL, Loopback


@pytest.fixture
def running(healthy: Loopback, people: People, tmp_path: Path) -> Iterator[Api]:
    """The API of the healthy site."""
    place = Place(tmp_path)
    # JSON is YAML.
    place.file.write_text(healthy.site.model_dump_json(by_alias=True, exclude_none=True))
    api = Api(place, people, Launcher(place.file, RUNNER))
    yield api
    api.close()


def test_the_status_is_that_of_the_command_line(running: Api) -> None:
    """The whole document for an operator, planes and models for a member."""
    told = running.ask("GET", "/site/status", "operator").json()
    seen = status(load_site(running.place.file))
    assert told == json.loads(seen.model_dump_json(by_alias=True))
    assert told["attention"] == []
    planes = running.ask("GET", "/planes", "red").json()["planes"]
    assert {p["name"] for p in planes if p["state"] == "ok"} >= {
        "resource",
        "platform",
        "data",
        "model",
        "access",
    }
    assert running.ask("GET", "/planes/model", "red").json() in planes
    assert [(m["name"], m["state"]) for m in running.ask("GET", "/models", "red").json()["models"]] == [
        (MODEL, "ok")
    ]


def test_checks_are_run_and_remembered(running: Api) -> None:
    """Every check looks now; until the next look that is what is shown, also by another API."""
    before = running.ask("GET", "/checks", "operator").json()
    assert before["checkedAt"] is None
    report = running.ask("POST", "/checks", "operator").json()
    # The loopback platform has no host that can be asked for its disks.
    assert {r["sentence"]: r["result"] for r in report["results"] if r["result"] != "OK"} == {
        "No disk of a host is full.": "SKIP"
    }
    after = running.ask("GET", "/checks", "operator").json()
    assert after["checkedAt"] == report["checked_at"]
    assert [c["last"] for c in after["checks"]] == report["results"]
    assert [c["sentence"] for c in before["checks"]] == [c["sentence"] for c in after["checks"]]
    done = running.ask("GET", "/audit?limit=1").json()["entries"][0]
    assert (done["action"], done["detail"]) == ("checks.run", {"failed": 0})


def test_declared_models_are_listed(running: Api, healthy: Loopback) -> None:
    """With what the operator says of each."""
    model = {
        "metadata": given.meta("notes", "aiplat-model") | {"generation": 1},
        "status": {
            "observedGeneration": 1,
            "phase": "Refused",
            "name": "notes",
            "message": "asks 4 CPU, the largest node has 2",
        },
    }
    healthy.kube.lists["models"] = [model]
    (told,) = running.ask("GET", "/models/declared", "red").json()["models"]
    assert (told["name"], told["state"], told["message"]) == (
        "notes",
        "Refused",
        "asks 4 CPU, the largest node has 2",
    )


def test_checks_are_run_once_at_a_time(place: Place) -> None:
    """Who asks meanwhile is told so, and nothing is looked at twice."""
    reports, begun, go = Reports(), threading.Event(), threading.Event()

    class Slow(Site):
        """A site whose first look takes until it is told to go on."""

        @property
        def endpoint(self) -> str:
            return "192.0.2.11"

        @property
        def servers(self) -> tuple[Host, ...]:
            begun.set()
            go.wait(PATIENCE)
            return ()

    slow = Slow.model_validate(load_site(place.file).model_dump(by_alias=True))
    authority = site_dir(slow.name) / "ca.crt"
    authority.parent.mkdir(parents=True, exist_ok=True)
    authority.touch()  # without it nobody looks at the servers
    looking = threading.Thread(target=reports.look, args=(slow,))
    looking.start()
    assert begun.wait(PATIENCE)
    with pytest.raises(ApiProblem) as refused:
        reports.look(slow)
    assert "are being run already" in str(refused.value.findings[0])
    go.set()
    looking.join(PATIENCE)
    assert reports.last(slow) is not None
