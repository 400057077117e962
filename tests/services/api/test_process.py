"""`aiplat serve api` as a process: its first key, its stream while a run continues, its death during one."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from aiplat.runs.events import RunFinished, RunStarted, StepStarted
from aiplat.runs.journal import Journal
from aiplat.vault.pki import issue, make_ca
from tests.patience import PATIENCE, eventually
from tests.ports import free_port
from tests.services.api.conftest import PREFIX, Place

AIPLAT = (sys.executable, "-c", "from aiplat.cli.main import main; main()", "serve", "api")
WITH_OWN_RUNNER = (sys.executable, "-m", "tests.services.api.server")


@contextmanager
def served(
    place: Place,
    command: tuple[str, ...] = AIPLAT,
    *options: str,
    trusted: ssl.SSLContext | None = None,
) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """Run the API and yield a client with the admin's key, and the process."""
    port = free_port()
    with (place.folder / "api.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, str(place.file), "--port", str(port), *options], stderr=log, stdout=log
        )
    retries = httpx.HTTPTransport(retries=9, verify=trusted or True)
    url = f"{'https' if trusted else 'http'}://127.0.0.1:{port}{PREFIX}"
    try:
        with httpx.Client(base_url=url, transport=retries, timeout=PATIENCE) as client:
            assert client.get("/health").status_code == 200
            secret = (place.state / "api-admin-key").read_text().strip()
            client.headers["authorization"] = f"Bearer {secret}"
            yield client, process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)


def test_the_first_admin_key_is_in_a_private_file(place: Place) -> None:
    """The log says where; what is in it is in no log, and a second start makes no other."""
    with served(place) as (client, process):
        key = place.state / "api-admin-key"
        secret = key.read_text()
        assert key.stat().st_mode & 0o777 == 0o600
        assert client.get("/site").json()["name"] == "t-api"
    assert process.returncode == 0
    with served(place, AIPLAT, "--read-only") as (client, _):
        assert key.read_text() == secret
        assert client.get("/keys").json()["keys"][0]["name"] == "first admin"
        assert client.get("/health").json()["runs"] == "elsewhere"
    log = (place.folder / "api.log").read_text()
    assert log.count(f"a new admin key is in {key}") == 1
    assert secret.strip() not in log
    wide = [p for p in place.state.rglob("*") if p.is_file() and p.stat().st_mode & 0o077]
    assert wide == []


def test_an_admin_key_that_was_lost_is_replaced(place: Place) -> None:
    """Who may write the site's state may make another; the ones there are stay good until revoked."""
    with served(place) as (client, _):
        first = client.headers["authorization"]
    (place.state / "api-admin-key").unlink()
    with served(place, AIPLAT, "--new-admin-key") as (client, _):
        assert client.headers["authorization"] != first
        assert {k["name"] for k in client.get("/keys").json()["keys"]} == {"first admin", "another admin"}
        assert client.get("/site", headers={"authorization": first}).status_code == 200


def test_events_arrive_while_the_run_goes_on(place: Place) -> None:
    """Each as soon as it is written; the stream ends when the run does."""
    journal = Journal("t-api", "bootstrap")
    journal.append(RunStarted(site="t-api", verb="bootstrap"))
    with (
        served(place) as (client, _),
        client.stream("GET", f"/runs/{journal.run_id}/events") as stream,
    ):
        names = (line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: "))
        assert next(names) == "run_started"
        journal.append(StepStarted(step="stage"))
        assert next(names) == "step_started"
        journal.append(RunFinished(state="done"))
        assert list(names) == ["run_finished"]
    journal.finish("done")


def test_stopping_the_api_ends_its_streams(place: Place) -> None:
    """A client that watches a run holds nothing up."""
    journal = Journal("t-api", "bootstrap")
    journal.append(RunStarted(site="t-api", verb="bootstrap"))
    with (
        served(place) as (client, process),
        client.stream("GET", f"/runs/{journal.run_id}/events") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines)
        asked = threading.Timer(0, process.send_signal, [signal.SIGTERM])
        asked.start()
        process.wait(PATIENCE)
        asked.join()
    journal.finish("done")


def test_a_run_outlives_the_api_that_started_it(place: Place) -> None:
    """The API is killed in the middle; the run ends well, and the next API tells all of it."""
    with served(place, WITH_OWN_RUNNER) as (client, process):
        digest = client.post("/plans").json()["digest"]
        run = client.post("/runs", json={"planDigest": digest}).json()
        assert run["state"] == "running"
        os.kill(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
    place.go.touch()
    record = place.state / "runs" / run["id"] / "run.json"
    eventually(lambda: json.loads(record.read_text())["state"] == "done")
    with served(place, WITH_OWN_RUNNER) as (client, _):
        found = client.get(f"/runs/{run['id']}").json()
        assert (found["state"], found["askedBy"], found["planDigest"]) == ("done", run["askedBy"], digest)
        assert client.get(f"/runs/{run['id']}/events").text.count("event: ") == 5


def test_over_tls_the_key_is_safe_and_browsers_are_told_so(place: Place) -> None:
    """With a certificate of the site's own authority."""
    authority = make_ca("t-api")
    pair = issue(authority, "api of t-api", ["127.0.0.1"])
    crt, key = place.folder / "api.crt", place.folder / "api.key"
    crt.write_text(pair.crt)
    key.write_text(pair.key)
    trusted = ssl.create_default_context(cadata=authority.crt)
    with served(place, AIPLAT, "--tls-cert", str(crt), "--tls-key", str(key), trusted=trusted) as (client, _):
        answer = client.get("/site")
        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--host", "192.0.2.1"), "keys would cross the network in clear"),
        (("--tls-cert", "x.pem"), "--tls-cert and --tls-key belong together"),
        (("--tls-cert", "x.pem", "--tls-key", "x.pem"), "No such file"),
    ],
)
def test_what_cannot_be_served_is_said_and_ends_with_2(
    place: Place, options: tuple[str, ...], said: str
) -> None:
    """Before anything is listened on."""
    done = subprocess.run(
        [*AIPLAT, str(place.file), *options], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_site_that_is_not_there_is_said(place: Place) -> None:
    """With the sentence that every verb has for it."""
    nowhere: Path = place.folder / "no-site.yaml"
    done = subprocess.run([*AIPLAT, str(nowhere)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no such site file" in done.stderr
