"""Plans and runs over HTTP: applied by digest, followed as events, gone on with after a lost connection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiplat.runs.events import RunFinished, RunStarted, StepStarted
from aiplat.runs.journal import Journal, new_run_id, runs_dir
from aiplat.services.api.launch import Launcher, view_run
from aiplat.services.bounds import API_LOOKS
from aiplat.state import private_dir
from tests.patience import eventually
from tests.services.api.conftest import FACTS, SITE, Api, Place


def events(text: str) -> list[dict[str, Any]]:
    """Return the events of a stream with their ids; comments are keep-alives."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append(
                {"id": int(fields["id"]), "event": fields["event"], "data": json.loads(fields["data"])}
            )
    return found


def state_of(api: Api, run: str) -> str:
    """Return how a run stands."""
    return str(api.ask("GET", f"/runs/{run}", "operator").json()["state"])


def test_a_plan_is_made_kept_and_applied(api: Api, place: Place) -> None:
    """From a look at the hosts to a finished run, as an operator goes."""
    made = api.ask("POST", "/plans", "operator")
    plan = made.json()
    assert (made.status_code, plan["refusals"], plan["assumed"]) == (201, [], False)
    assert (plan["warnings"], plan["unseen"]) == ([], [])
    assert [s["id"] for s in plan["plan"]["steps"]][:2] == ["bundle", "stage"]
    assert api.ask("GET", made.headers["location"].removeprefix("/api/v1"), "operator").json() == plan
    assert [p["digest"] for p in api.ask("GET", "/plans").json()["plans"]] == [plan["digest"]]

    started = api.ask("POST", "/runs", "operator", json={"planDigest": plan["digest"]})
    assert started.status_code == 202, started.text
    run = started.json()
    assert (run["state"], run["askedBy"]) == ("running", api.ids["operator"])
    assert started.headers["location"] == f"/api/v1/runs/{run['id']}"
    place.go.touch()
    eventually(lambda: state_of(api, run["id"]) == "done")
    assert [r["id"] for r in api.ask("GET", "/runs").json()["runs"]] == [run["id"]]


@pytest.mark.parametrize("moved", ["site", "hosts"])
def test_a_plan_of_a_world_that_moved_is_refused(api: Api, place: Place, moved: str) -> None:
    """409 names the plan that holds now, which is there to be looked at; no run is made."""
    old = api.plan()
    if moved == "site":
        place.file.write_text(SITE + "models: [{name: 'gemma3:270m'}]\n")
    else:
        place.see(**FACTS | {"cpus": 3})
    refused = api.ask("POST", "/runs", json={"planDigest": old})
    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (409, "urn:aiplat:problem:plan-moved")
    assert problem["planDigest"] != old
    assert api.ask("GET", f"/plans/{problem['planDigest']}").status_code == 200
    assert api.ask("GET", "/runs").json() == {"runs": []}


def test_a_plan_that_something_forbids_is_refused_with_every_finding(api: Api, place: Place) -> None:
    """The findings are those that `aiplat plan` names."""
    place.see(**FACTS | {"arch": "aarch64", "lab": None})
    plan = api.ask("POST", "/plans").json()
    assert plan["refusals"]
    refused = api.ask("POST", "/runs", json={"planDigest": plan["digest"]}).json()
    assert refused["type"] == "urn:aiplat:problem:plan-refused"
    assert refused["findings"] == plan["refusals"]


def test_a_second_run_is_refused_while_one_is_at_work(api: Api, place: Place) -> None:
    """The one at work is named; it can be stopped, and then it is over."""
    digest = api.plan()
    run = api.ask("POST", "/runs", json={"planDigest": digest}).json()["id"]
    second = api.ask("POST", "/runs", json={"planDigest": digest})
    assert (second.status_code, second.json()["type"]) == (409, "urn:aiplat:problem:run-at-work")
    assert run in second.json()["detail"]
    assert api.ask("POST", f"/runs/{run}/stop").status_code == 202
    eventually(lambda: state_of(api, run) == "interrupted")
    again = api.ask("POST", f"/runs/{run}/stop")
    assert (again.status_code, again.json()["detail"]) == (
        409,
        f"run {run}: is interrupted; there is nothing to stop",
    )


def test_a_run_that_has_not_begun_yet_is_shown_and_is_the_only_one(
    api: Api, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making a lab's hosts comes before the run: it is there at once, and in the way of a second one."""
    monkeypatch.setattr("aiplat.services.api.launch._BEGIN_SECONDS", 0)
    digest = api.plan()
    run = api.ask("POST", "/runs", json={"planDigest": digest}).json()
    assert (run["state"], run["planDigest"]) == ("starting", digest)
    assert [r["id"] for r in api.ask("GET", "/runs").json()["runs"]] == [run["id"]]
    assert api.ask("POST", "/runs", json={"planDigest": digest}).json()["type"].endswith(":run-at-work")
    place.go.touch()
    assert events(api.ask("GET", f"/runs/{run['id']}/events").text)[-1]["event"] == "run_finished"


@pytest.mark.parametrize("name", ["request.json", "run.json"])
def test_a_folder_with_something_else_in_it_is_no_run(api: Api, place: Place, name: str) -> None:
    """What is nested too deeply, or is not a request or a run, is left out, and the rest is shown."""
    folder = private_dir(runs_dir("t-api") / "20260102T030405Z-0a1b2c")
    for text in ("[" * 200_000, '{"planDigest": "x", "by": "y", "at": "never", "pid": 1}', "", "[]"):
        (folder / name).write_text(text)
        assert api.ask("GET", "/runs").json() == {"runs": []}
        assert api.ask("GET", f"/runs/{folder.name}/events").status_code == 404


WAITING_SSH = """#!/bin/sh
if [ "$1" = -G ]; then echo "user root"; exit 0; fi
echo asked >> "{folder}/asked"
until [ -e "{go}" ]; do sleep 0.1; done
exit 255
"""


def test_hosts_that_do_not_answer_keep_nobody_waiting_but_those_who_look(api: Api, place: Place) -> None:
    """However many ask for plans, health and lists come at once: looks have threads of their own."""
    (place.folder / "bin/ssh").write_text(WAITING_SSH.format(folder=place.folder, go=place.go))
    answered = api.beside([("POST", "/plans")] * (API_LOOKS + 60), [("GET", "/health"), ("GET", "/runs")])
    assert [answer.status_code for answer in answered] == [200, 200]
    # Each plan asked its one host once, and no more of them at a time than there are threads for.
    assert len((place.folder / "asked").read_text().splitlines()) == API_LOOKS


def test_a_failed_run_says_what_was_wrong(api: Api, place: Place) -> None:
    """What the process said to people is part of the run."""
    place.go.write_text("fail")
    run = api.ask("POST", "/runs", json={"planDigest": api.plan()}).json()["id"]
    eventually(lambda: bool(api.ask("GET", f"/runs/{run}").json()["said"]))
    assert state_of(api, run) == "failed"
    assert api.ask("GET", f"/runs/{run}").json()["said"] == ["s1: was told to fail; nothing helps"]


def test_events_are_replayed_whole_and_end_with_the_run(api: Api, place: Place) -> None:
    """Each event is the journal's line, numbered from 1."""
    place.go.touch()
    run = api.ask("POST", "/runs", json={"planDigest": api.plan()}).json()["id"]
    answer = api.ask("GET", f"/runs/{run}/events", "operator")
    assert answer.headers["content-type"].startswith("text/event-stream")
    seen = events(answer.text)
    assert [e["id"] for e in seen] == [1, 2, 3, 4, 5]
    assert [e["event"] for e in seen] == [
        "run_started",
        "plan",
        "step_started",
        "step_finished",
        "run_finished",
    ]
    written = (runs_dir("t-api") / run / "events.jsonl").read_text().splitlines()
    assert [e["data"] for e in seen] == [json.loads(line) for line in written]


def test_a_lost_connection_goes_on_behind_the_last_event(api: Api, place: Place) -> None:
    """Nothing comes twice; who has everything is told not to come back."""
    place.go.touch()
    run = api.ask("POST", "/runs", json={"planDigest": api.plan()}).json()["id"]
    eventually(lambda: state_of(api, run) == "done")
    rest = api.ask("GET", f"/runs/{run}/events", headers={"Last-Event-ID": "3"})
    assert [e["id"] for e in events(rest.text)] == [4, 5]
    assert api.ask("GET", f"/runs/{run}/events", headers={"Last-Event-ID": "5"}).status_code == 204
    assert api.ask("GET", f"/runs/{run}/events", headers={"Last-Event-ID": "x"}).status_code == 422


def test_the_stream_of_a_run_that_was_cut_off_ends(api: Api) -> None:
    """Its process is gone and will never write the end."""
    journal = Journal("t-api", "bootstrap")
    journal.append(RunStarted(site="t-api", verb="bootstrap"))
    journal.append(StepStarted(step="stage"))
    path = journal.folder / "run.json"
    path.write_text(journal.record.model_copy(update={"pid": 2**22 + 1}).model_dump_json(by_alias=True))
    assert state_of(api, journal.run_id) == "cut_off"
    assert [e["id"] for e in events(api.ask("GET", f"/runs/{journal.run_id}/events").text)] == [1, 2]


def test_runs_made_elsewhere_on_this_machine_are_shown_too(api: Api) -> None:
    """The journal is the truth, whoever wrote it; pages go on before an id."""
    for n in range(3):
        journal = Journal("t-api", "bootstrap", f"2026010{n + 1}T030405Z-0a1b2c")
        journal.append(RunFinished(state="done"))
        journal.finish("done")
    page = api.ask("GET", "/runs?limit=2").json()["runs"]
    assert [r["id"][7] for r in page] == ["3", "2"]
    rest = api.ask("GET", f"/runs?before={page[-1]['id']}").json()["runs"]
    assert [r["id"][7] for r in rest] == ["1"]
    assert rest[0]["askedBy"] is None


def test_what_only_reads_says_where_runs_are_made(read_only: Api) -> None:
    """Everything is shown; what would need SSH keys is refused with a sentence."""
    assert read_only.ask("GET", "/health", None).json() == {"status": "ok", "runs": "elsewhere"}
    assert read_only.ask("GET", "/runs").status_code == 200
    body = {"planDigest": f"sha256:{'0' * 64}"}
    for path, sent in (("/plans", None), ("/runs", body), ("/runs/20260102T030405Z-0a1b2c/stop", None)):
        refused = read_only.ask("POST", path, json=sent)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:aiplat:problem:runs-elsewhere")
        assert "are made where the SSH keys are: " in refused.json()["detail"]


def test_the_run_that_is_really_started_is_aiplats_own(place: Place) -> None:
    """The command line that the API writes is the one that `aiplat` reads; it refuses another plan itself."""
    asked = Launcher(place.file).start("t-api", new_run_id(), f"sha256:{'0' * 64}", "key-1")
    eventually(lambda: bool(view_run("t-api", asked.id).said))
    assert view_run("t-api", asked.id).state == "failed"
    (said,) = view_run("t-api", asked.id).said
    assert "there is another one now" in said
    assert not list(place.state.rglob("vault.yml"))
    assert [p for p in Path(runs_dir("t-api")).rglob("*") if p.is_file() and p.stat().st_mode & 0o077] == []
