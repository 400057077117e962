"""A platform that only a jump host reaches: the verbs go through ssh, and a tunnel serves other clients."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiplat.lab import lab_status
from tests.e2e.journey import AIPLAT, Journey

pytestmark = [pytest.mark.lab, pytest.mark.journey]

HOST, ADDRESS, JUMP_ADDRESS = "t-jump-s1", "10.97.44.11", "10.97.44.12"
SITE = f"""\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: t-behind
supply: packages
hosts:
  - name: desk
    address: {ADDRESS}
    role: server
    ssh: {{user: root, key: KEY, jump: ["root@{JUMP_ADDRESS}"]}}
models:
  - {{name: "gemma3:270m", engine: ollama}}
"""
# Whoever is not the jump host, this machine too, reaches no port of the server's, pods' host ports included.
WALL = f"""\
table inet t_jump {{
  chain wall {{
    type filter hook prerouting priority -300
    ip daddr {ADDRESS} ip saddr 10.97.44.0/24 ip saddr != {{ {ADDRESS}, {JUMP_ADDRESS} }} tcp dport != 22 drop
  }}
}}
"""


@pytest.fixture(scope="module")
def behind(
    make_journey: Callable[[str], Journey], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Journey]:
    """The site as its user has it, bootstrapped through the jump host."""
    lab = make_journey("jump")
    folder = tmp_path_factory.mktemp("behind")
    key = lab.state / "aiplat" / "sites" / "t-jump" / "ssh_key"
    (folder / "site.yaml").write_text(SITE.replace("KEY", str(key)))
    _wall_in()
    password = folder / "vault"
    password.write_text("of the vault\n")
    password.chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_VAULT_PASSWORD_FILE", str(password))
        journey = replace(lab, name="t-behind", site_file=folder / "site.yaml")
        journey.aiplat("plan", str(journey.site_file), "--accept-new-host-keys", "--json")
        summary = journey.bootstrap()
        assert [c["sentence"] for c in summary["checks"] if c["result"] != "OK"] == []
        assert "5, 6, 7" in summary["words"]["answer"]
        yield journey


def _wall_in() -> None:
    nspawn = next(h.pid for h in lab_status("t-jump").hosts if h.name == HOST)
    inside = Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split()[0]
    argv = ["nsenter", "--net", "--target", inside, "nft", "-f", "-"]
    subprocess.run(argv, input=WALL, text=True, check=True, capture_output=True)


@pytest.mark.parametrize("port", [443, 5443, 6443])
def test_no_port_of_the_platform_is_reached_directly(behind: Journey, port: int) -> None:
    """So that whatever the other tests see came through the jump host."""
    with pytest.raises(TimeoutError):
        socket.create_connection((ADDRESS, port), timeout=3)


def test_status_and_verify_see_everything(behind: Journey) -> None:
    """Nothing is unknown, no check fails and none is left out."""
    status = behind.document("status")
    assert (status["attention"], {h["state"] for h in status["hosts"]}) == ([], {"ok"})
    report = behind.document("verify")
    assert [r["sentence"] for r in report["results"] if r["result"] != "OK"] == []


def test_chat_and_usage_answer(behind: Journey) -> None:
    """Through the gateway and the Kubernetes API."""
    said = behind.aiplat("chat", str(behind.site_file), "--once", "1, 2, 3, 4,", "--temperature", "0").stdout
    assert "5, 6, 7" in said
    assert json.loads(behind.aiplat("usage", str(behind.site_file), "--json").stdout)


def test_env_says_what_is_missing(behind: Journey) -> None:
    """Its variables are of no use to other clients until the tunnel is open."""
    said = behind.aiplat("env", str(behind.site_file)).stderr
    assert f"desk is reached through ssh only: hold `aiplat tunnel {behind.site_file}` open" in said


@pytest.fixture
def tunnel(behind: Journey) -> Iterator[dict[str, Any]]:
    """The document of a tunnel that is open; it ends with Ctrl-C, and that is a good end."""
    argv = [AIPLAT, "tunnel", str(behind.site_file), "--json"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    yield json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_other_clients_go_through_the_tunnel(behind: Journey, tunnel: dict[str, Any]) -> None:
    """OpenAI's and Kubernetes' own clients, by what `aiplat env` says while it is open."""
    assert tunnel["notes"] == []
    assert behind.environment()["OPENAI_BASE_URL"] == f"{tunnel['gateway']}/v1"
    said = behind.with_clients(
        "import openai; print(openai.OpenAI().completions.create("
        "model='gemma3:270m', prompt='1, 2, 3, 4,', max_tokens=12, temperature=0).choices[0].text)"
    )
    assert "5, 6, 7" in said
    nodes = behind.with_clients(
        "from kubernetes import client, config; config.load_kube_config()\n"
        "print(*(n.metadata.name for n in client.CoreV1Api().list_node().items))"
    )
    assert nodes.split() == ["desk"]


def test_the_second_bootstrap_changes_nothing(behind: Journey) -> None:
    """Its checks come through the jump host again."""
    again = behind.bootstrap()
    assert (again["state"], again["changed"]) == ("done", 0)
