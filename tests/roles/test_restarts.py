"""On a host with systemd: a unit is restarted when the plan announces it, and at no other time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from aiplat.fleet.probe import gather_facts
from aiplat.hosts.paths import paths_of
from aiplat.lab import lab_down, lab_up, ssh_argv
from aiplat.plan.make import _Need, _restart
from aiplat.plan.steps import managed
from aiplat.shipped import shipped
from aiplat.site.models import Site
from aiplat.state import site_dir
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab
NAME, HOST, ADDRESS = "t-restart", "t-restart-s1", "10.97.21.11"
UNIT, REGISTRIES = "k3s.service", "/etc/rancher/k3s/registries.yaml"
# In the place of k3s: what systemd, the role and the ledger need of it, a sign of life, and no cluster.
PROGRAM = b"""#!/bin/sh
case "$*" in
server*) systemd-notify --ready; exec sleep infinity ;;
*" get lease "*) date -u +%FT%T.%6NZ ;;
esac
"""


@dataclass(frozen=True)
class Ward:
    """A host on which the role k3s_server was carried out."""

    site: Site
    folder: Path

    def on_host(self, command: str, given: bytes = b"") -> str:
        """Run a shell command on the host and return what it prints."""
        done = subprocess.run(
            [*ssh_argv(NAME, HOST), command], input=given, capture_output=True, timeout=PATIENCE, check=True
        )
        return done.stdout.decode().strip()

    def announced(self, start: str) -> str:
        """Return the restart that a plan announces for what the host shows now."""
        need = _Need("k3s_server", HOST, "", {"start": start, "role": "now"})
        return _restart(need, gather_facts(self.site).host(HOST))

    def role(self, start: str) -> str:
        """Carry the role out and return what it did to the unit."""
        folders = {
            "ANSIBLE_LIBRARY": "roles/*/library",
            "ANSIBLE_MODULE_UTILS": "roles/*/module_utils",
            "ANSIBLE_ROLES_PATH": "roles",
        }
        root = shipped("roles").parent
        paths = {name: ":".join(map(str, root.glob(pattern))) for name, pattern in folders.items()}
        more = {"k3s_server_inputs": {"start": start, "role": "now"}}
        argv = [str(Path(sys.executable).with_name("ansible-playbook")), "--inventory", "hosts.json"]
        done = subprocess.run(
            [*argv, "--extra-vars", json.dumps(more), "play.json"],
            cwd=self.folder,
            env={**os.environ, **paths, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return next(line for line in done.stdout.splitlines() if '"action"' in line).split('"')[3]


def inventory() -> dict[str, Any]:
    """Return the host with the variables of the role."""
    folder = site_dir(NAME)
    variables = {
        "ansible_host": ADDRESS,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(folder / "ssh_key"),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={folder / 'known_hosts'}",
        "ansible_python_interpreter": "/usr/bin/python3",
        "k3s_server_site": NAME,
        "k3s_server_managed": managed("k3s_server"),
        "k3s_server_binary": f"sha256:{sha256(PROGRAM).hexdigest()}",
        "k3s_server_node_ip": ADDRESS,
        "k3s_server_registry_endpoints": [f"https://{ADDRESS}:5443"],
        "k3s_server_tls_san": [ADDRESS],
        "k3s_server_cluster_cidr": "10.42.0.0/16",
        "k3s_server_service_cidr": "10.43.0.0/16",
        "k3s_server_token": "of a test",
        "k3s_server_paths": paths_of(None).model_dump(),
    }
    return {"all": {"hosts": {HOST: variables}}}


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """A lab host whose k3s is a small program."""
    folder = tmp_path_factory.mktemp("restart")
    host = {"name": HOST, "address": ADDRESS, "role": "server"}
    document = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": NAME, "hosts": [host]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(folder / "state"))
        patch.delenv("XDG_RUNTIME_DIR", raising=False)
        ward = Ward(Site.model_validate(document), folder)
        try:
            lab_up(ward.site)
            blobs = "/var/lib/aiplat/blobs/sha256"
            name = sha256(PROGRAM).hexdigest()
            ward.on_host(f"mkdir -p {blobs}; cat > {blobs}/{name}", PROGRAM)
            play = {"hosts": "all", "gather_facts": False, "roles": ["k3s_server"]}
            (folder / "play.json").write_text(json.dumps([play]))
            (folder / "hosts.json").write_text(json.dumps(inventory()))
            assert ward.role("one") == "started"
            yield ward
        finally:
            lab_down(NAME)


@pytest.mark.parametrize(
    ("disturb", "start", "action"),
    [
        ("true", "one", "nothing"),
        (f"chmod 644 {REGISTRIES}", "one", "nothing"),
        (f"echo '#' >> {REGISTRIES}", "one", "nothing"),
        (f"echo '#' >> {REGISTRIES}; systemctl restart k3s", "one", "restarted"),
        (f"rm {REGISTRIES}; systemctl restart k3s", "one", "restarted"),
        (
            f"cp -a {REGISTRIES} /root/ours; echo '#' >> {REGISTRIES}; systemctl restart k3s;"
            f" cp -a /root/ours {REGISTRIES}",
            "one",
            "restarted",
        ),
        (
            f"echo '#' >> /etc/systemd/system/{UNIT}; systemctl daemon-reload; systemctl restart k3s",
            "one",
            "restarted",
        ),
        ("echo '#' >> /etc/aiplat/resolv.conf; systemctl restart k3s", "one", "nothing"),
        ("systemctl stop k3s", "one", "started"),
        ("systemctl disable k3s", "one", "enabled"),
        ("true", "two", "restarted"),
        ("true", "two", "nothing"),
    ],
    ids=[
        "nothing",
        "mode",
        "content",
        "content and restart",
        "removed and restart",
        "content and restart and put right",
        "unit file and restart",
        "file that is read later",
        "stopped",
        "disabled",
        "other inputs",
        "the same inputs",
    ],
)
def test_the_role_does_what_the_plan_announces(ward: Ward, disturb: str, start: str, action: str) -> None:
    """Whatever somebody did to the host, and whatever is wanted now; each begins where the last one ended."""
    ward.on_host(disturb)
    announced = ward.announced(start)
    before = ward.on_host(f"systemctl show -P MainPID {UNIT}")
    assert ward.role(start) == action
    after = ward.on_host(f"systemctl show -P MainPID {UNIT}")
    assert announced == (f"{UNIT} on {HOST}" if action == "restarted" else "")
    assert (before != after) == (action in {"restarted", "started"})
    assert gather_facts(ward.site).host(HOST).drift == ()
