"""What Ansible is given for a run: the inventory word by word, private files, nothing left."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aiplat.fleet.inventory import inventory_document, remove_left_folders, to_yaml, write_run_folder
from aiplat.fleet.ssh_config import runtime_dir
from aiplat.plan.models import Plan, Step
from aiplat.plan.role_variables import HostPrepare, K3sAgent, RoleVariables
from aiplat.site.models import Site

GOLDEN = Path(__file__).parent / "golden-inventory.yml"
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def plan() -> Plan:
    """Return a plan in which the agent needs two steps and the server one."""
    steps = (
        Step(id="host_prepare", title="t", hosts=("s1", "a1"), reason={}, inputs={"a1": {"ca": DIGEST}}),
        Step(id="k3s_agent", title="t", hosts=("a1",), reason={}, inputs={"a1": {"binary": DIGEST}}),
    )
    return Plan(site="ward-3", verb="bootstrap", steps=steps, based_on={})


@pytest.fixture
def variables() -> dict[str, list[RoleVariables]]:
    """Return variables of two roles; one text looks like a template and must stay as it is."""
    prepare = HostPrepare(ca_certificate="PEM {{ not a template }}")
    agent = K3sAgent(
        binary=DIGEST,
        node_ip="192.0.2.12",
        registry_endpoints=("https://192.0.2.11:5443",),
        server_url="https://192.0.2.11:6443",
    )
    return {"s1": [prepare], "a1": [prepare, agent]}


def test_the_inventory_is_as_expected(
    site: Site, host_here: Path, plan: Plan, variables: dict[str, list[RoleVariables]], tmp_path: Path
) -> None:
    """Groups by role and step, variables by role, and ssh only through the lease's connection."""
    text = to_yaml(inventory_document(site, plan, "run-1", variables)).decode()
    assert text.replace(str(tmp_path), "/tmp") == GOLDEN.read_text()


def test_ansible_understands_it(
    site: Site, host_here: Path, plan: Plan, variables: dict[str, list[RoleVariables]], tmp_path: Path
) -> None:
    """Ansible's own reader sees the groups, and the text that looks like a template as text."""
    path = tmp_path / "hosts.yml"
    path.write_bytes(to_yaml(inventory_document(site, plan, "run-1", variables)))
    program = Path(sys.executable).with_name("ansible-inventory")
    listed = subprocess.run([program, "-i", path, "--list"], capture_output=True, check=True, cwd=tmp_path)
    document = json.loads(listed.stdout)
    assert document["step_k3s_agent"]["hosts"] == ["a1"]
    assert document["helm_runner"]["hosts"] == ["s1"]
    text = document["_meta"]["hostvars"]["s1"]["host_prepare_ca_certificate"]
    assert "{{ not a template }}" in json.dumps(text)


def test_the_files_are_private_and_gone_afterwards(
    site: Site, host_here: Path, plan: Plan, variables: dict[str, list[RoleVariables]]
) -> None:
    """Secrets are in a 0600 file of a 0700 folder while the run lasts, and nowhere after it."""
    with write_run_folder(site, plan, "run-1", variables, {"k3s_server_token": "s3cret"}) as folder:
        modes = [stat.S_IMODE(p.stat().st_mode) for p in (folder.path, folder.inventory, folder.secrets)]
        assert modes == [0o700, 0o600, 0o600]
        assert "s3cret" in folder.secrets.read_text()
        assert "s3cret" not in folder.inventory.read_text()
    assert not folder.path.exists()


def test_the_files_of_a_killed_run_are_wiped_by_the_next(
    site: Site, host_here: Path, plan: Plan, variables: dict[str, list[RoleVariables]]
) -> None:
    """A folder nobody holds is removed, one of a running run is not."""
    left = runtime_dir() / "run-killed"
    left.mkdir()
    (left / "secrets.yml").write_text("k3s_server_token: s3cret")
    with write_run_folder(site, plan, "run-1", variables, {}) as folder:
        assert not left.exists()
        remove_left_folders()
        assert folder.secrets.exists()


def test_secrets_that_look_like_templates_stay_as_they_are() -> None:
    """A password with braces is data."""
    assert to_yaml({"a": "{{ x }}", "b": "plain"}).decode() == "a: !unsafe '{{ x }}'\nb: plain\n"
