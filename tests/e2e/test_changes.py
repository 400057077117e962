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

from aiplat.lab import lab_status
from aiplat.vault.rotation import ROTATED
from aiplat.vault.store import SiteSecrets, read_secrets
from tests.e2e.journey import AIPLAT, Journey
from tests.patience import until

pytestmark = [pytest.mark.lab, pytest.mark.journey]

SERVER, AGENT = "t-changes-s1", "t-changes-a1"
ADDRESS, OTHER, ROUTER = "10.97.93.11", "10.97.93.21", "10.97.93.1"
# Not the lab's own site: a lab gives its hosts their addresses for good.
SITE = f"""\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: t-changing
supply: packages
hosts:
  - {{name: {SERVER}, address: {ADDRESS}, role: server, ssh: {{user: root, key: KEY}}}}
  - {{name: {AGENT}, address: 10.97.93.12, role: agent, ssh: {{user: root, key: KEY}}}}
models:
  - {{name: "gemma3:270m", engine: ollama}}
"""
BODY = {"model": "gemma3:270m", "prompt": "1, 2,", "max_tokens": 2, "temperature": 0}


@pytest.fixture(scope="module")
def lab(make_journey: Callable[[str], Journey]) -> Journey:
    """A server and an agent, as machines that have nothing yet."""
    return make_journey("changes")


@pytest.fixture(scope="module")
def ward(lab: Journey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """The site as its user has it, bootstrapped."""
    folder = tmp_path_factory.mktemp("changing")
    key = lab.state / "aiplat" / "sites" / "t-changes" / "ssh_key"
    (folder / "site.yaml").write_text(SITE.replace("KEY", str(key)))
    password = folder / "vault"
    password.write_text("of the vault\n")
    password.chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_VAULT_PASSWORD_FILE", str(password))
        journey = replace(lab, name="t-changing", site_file=folder / "site.yaml")
        journey.aiplat("plan", str(journey.site_file), "--accept-new-host-keys", "--json")
        journey.bootstrap()
        yield journey


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


def move(host: str) -> None:
    """Give a host its other address, and take the former one away."""
    nspawn = next(h.pid for h in lab_status("t-changes").hosts if h.name == host)
    inside = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()[0]
    for change in (
        f"address del {ADDRESS}/24 dev host0",
        f"address add {OTHER}/24 dev host0",
        f"route replace default via {ROUTER}",
    ):
        subprocess.run(["nsenter", "--net", "--target", inside, "ip", *change.split()], check=True)


def test_everything_that_can_be_rotated_is_while_requests_come_in(lab: Journey, ward: Journey) -> None:
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
    assert {f"k3s.service on {SERVER}", f"k3s-agent.service on {AGENT}"} <= restarts

    with clients(ward) as answers:
        kill_during(ward, "k3s_server")
        ward.bootstrap()
        asked = len(answers)
        until(lambda: len(answers) > asked + 2, lambda: answers[-5:])
    assert set(answers) == {"200"}, f"{len(answers)} requests"
    assert (answers_to(ward, before.api_key), answers_to(ward, after.api_key)) == (200, 200)
    assert after.k3s_token in lab.on_host("cat /var/lib/rancher/k3s/server/token")
    assert after.k3s_token in lab.on_host("cat /etc/rancher/k3s/config.yaml", host=AGENT)

    with clients(ward) as answers:
        assert ward.bootstrap()["changed"] > 0
    assert set(answers) == {"200"}, f"{len(answers)} requests"
    assert (answers_to(ward, before.api_key), answers_to(ward, after.api_key)) == (401, 200)
    assert lab.on_host("cat /etc/aiplat/ca.crt", host=AGENT) == after.ca.crt
    assert secrets_of(ward).former == {}
    assert "nothing to do" in ward.aiplat("plan", str(ward.site_file)).stdout

    used = ward.document("usage")
    assert sum(key["requests"] for key in used["keys"]) > asked

    written = "".join(path.read_text() for path in ward.state.rglob("events.jsonl"))
    hidden = [s for v in (before, after) for s in (v.api_key, v.k3s_token, v.postgres_password)]
    assert [secret for secret in hidden if secret in written] == []


def test_the_first_servers_address_changes(lab: Journey, ward: Journey) -> None:
    """The plan names it on every host, one run carries it out, and all nodes are heard of at the new one."""
    move(SERVER)
    ward.site_file.write_text(ward.site_file.read_text().replace(ADDRESS, OTHER))
    ward.aiplat("plan", str(ward.site_file), "--accept-new-host-keys", "--json")
    summary = ward.bootstrap()
    assert {f"k3s.service on {SERVER}", f"k3s-agent.service on {AGENT}"} <= set(summary["restarts"])
    assert [check for check in summary["checks"] if check["result"] == "FAIL"] == []
    assert answers_to(ward, secrets_of(ward).api_key) == 200
    assert OTHER in lab.on_host("cat /etc/rancher/k3s/config.yaml", host=AGENT)
    assert [host["state"] for host in ward.document("status")["hosts"]] == ["ok", "ok"]
    assert "nothing to do" in ward.aiplat("plan", str(ward.site_file)).stdout
