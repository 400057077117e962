"""A site whose secrets, addresses and disks change while requests come in: what is said, done and kept."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from aiplat.vault.rotation import ROTATED
from aiplat.vault.store import SiteSecrets, read_secrets
from tests.e2e.journey import AIPLAT, Journey
from tests.patience import until

pytestmark = [pytest.mark.lab, pytest.mark.journey]

BODY = {"model": "gemma3:270m", "prompt": "1, 2,", "max_tokens": 2, "temperature": 0}


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """A server and an agent, bootstrapped."""
    journey = make_journey("changes")
    journey.bootstrap()
    return journey


def secrets_of(ward: Journey) -> SiteSecrets:
    """Return the site's secrets as the vault has them now."""
    found = read_secrets(ward.name)
    assert found
    return found


@contextmanager
def clients(ward: Journey) -> Iterator[list[str]]:
    """Ask short completions all the time, with the key and the CAs of now; the list gets every answer."""
    environment, answers, ended = ward.environment(), list[str](), threading.Event()
    trusted = ssl.create_default_context(cafile=environment["SSL_CERT_FILE"])
    headers = {"Authorization": f"Bearer {environment['OPENAI_API_KEY']}"}

    def ask() -> None:
        while not ended.is_set():
            try:
                with httpx.Client(verify=trusted, headers=headers, timeout=120) as client:
                    answer = client.post(f"{environment['OPENAI_BASE_URL']}/completions", json=BODY)
                answers.append(str(answer.status_code))
            except httpx.HTTPError as error:
                answers.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def answers_to(ward: Journey, key: str) -> int:
    """Return the status of a request with this key."""
    environment = ward.environment()
    trusted = ssl.create_default_context(cafile=environment["SSL_CERT_FILE"])
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(verify=trusted, headers=headers, timeout=60) as client:
        return client.get(f"{environment['OPENAI_BASE_URL']}/models").status_code


def kill_during(ward: Journey, step: str) -> None:
    """Start a bootstrap and kill it, as by power, in the middle of a step."""
    command = [AIPLAT, "bootstrap", str(ward.site_file), "--yes", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True, text=True) as run:
        assert run.stdout
        begun = any(
            (event := json.loads(line))["event"] == "task" and event["step"] == step
            for line in run.stdout
            if '"event"' in line
        )
        assert begun, f"{step} never began"
        os.killpg(run.pid, signal.SIGKILL)


def test_everything_that_can_be_rotated_is_while_requests_come_in(ward: Journey) -> None:
    """The plan says it, a killed run continues, no request fails, the next run withdraws the former."""
    before = secrets_of(ward)
    said = ward.aiplat("vault", "rotate", *ROTATED, "--site", str(ward.site_file)).stderr
    assert "the API key is rotated" in said
    after = secrets_of(ward)
    plan = ward.document("plan")
    reasons = " ".join(reason for step in plan["steps"] for reason in step["reason"].values())
    for sentence in ("the site CA is rotated", "the k3s token is rotated", "the API key is rotated"):
        assert sentence in reasons
    restarts = {restart for step in plan["steps"] for restart in step["restarts"]}
    assert {"k3s.service on t-changes-s1", "k3s-agent.service on t-changes-a1"} <= restarts

    with clients(ward) as answers:
        kill_during(ward, "k3s_server")
        ward.bootstrap()
        asked = len(answers)
        until(lambda: len(answers) > asked + 2, lambda: answers[-5:])
    assert set(answers) == {"200"}, f"{len(answers)} requests"
    assert (answers_to(ward, before.api_key), answers_to(ward, after.api_key)) == (200, 200)
    assert after.k3s_token in ward.on_host("cat /var/lib/rancher/k3s/server/token")
    assert after.k3s_token in ward.on_host("cat /etc/rancher/k3s/config.yaml", host="t-changes-a1")

    with clients(ward) as answers:
        assert ward.bootstrap()["changed"] > 0
    assert set(answers) == {"200"}, f"{len(answers)} requests"
    assert (answers_to(ward, before.api_key), answers_to(ward, after.api_key)) == (401, 200)
    assert ward.on_host("cat /etc/aiplat/ca.crt", host="t-changes-a1") == after.ca.crt
    assert secrets_of(ward).former == {}
    assert "nothing to do" in ward.aiplat("plan", str(ward.site_file)).stdout

    used = ward.document("usage")
    assert sum(key["requests"] for key in used["keys"]) > asked

    written = "".join(path.read_text() for path in ward.state.rglob("events.jsonl"))
    hidden = [s for v in (before, after) for s in (v.api_key, v.k3s_token, v.postgres_password)]
    assert [secret for secret in hidden if secret in written] == []


def test_the_first_servers_address_changes(ward: Journey, tmp_path: Path) -> None:
    """The plan names it on every host, one run carries it out, and all nodes are heard of at the new one."""
    file = tmp_path / "site.yaml"
    file.write_text(ward.site_file.read_text().replace("10.97.93.11", "10.97.93.21"))
    moved = replace(ward, site_file=file)
    summary = moved.bootstrap()
    assert {"k3s.service on t-changes-s1", "k3s-agent.service on t-changes-a1"} <= set(summary["restarts"])
    assert [check for check in summary["checks"] if check["result"] == "FAIL"] == []
    assert answers_to(moved, secrets_of(moved).api_key) == 200
    assert "10.97.93.21" in moved.on_host("cat /etc/rancher/k3s/config.yaml", host="t-changes-a1")
    assert moved.on_host("k3s kubectl get nodes --no-headers").count(" Ready ") == 2
    assert "nothing to do" in moved.aiplat("plan", str(file)).stdout
