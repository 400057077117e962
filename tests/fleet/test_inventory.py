"""What Ansible is given for a run: the inventory word by word, private files, nothing left."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aiplat.errors import AiplatError
from aiplat.fleet.inventory import inventory_document, remove_left_folders, to_yaml, write_run_folder
from aiplat.fleet.ssh_config import runtime_dir
from aiplat.hosts.paths import paths_of
from aiplat.plan.models import Plan, Step
from aiplat.plan.role_variables import HostPrepare, K3sAgent, RoleVariables
from aiplat.site.models import Site
from aiplat.state import private_dir

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
    prepare = HostPrepare(paths=paths_of(None), ca_certificate="PEM {{ not a template }}")
    agent = K3sAgent(
        paths=paths_of(None),
        token_file=paths_of(None).token,
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


HEADER = "#jinja2: variable_start_string:'[[', variable_end_string:']]'\n[[ lookup('pipe', 'touch RAN') ]]"
TEXTS = [
    "{{ x }}",
    HEADER,
    "yes",
    "1e3",
    "2001-01-01",
    "\x85",
    "~",
    "a: b",
    "- x",
    "#",
    "\ttab",
    "é😀",
    "",
    " ",
]


def test_every_text_reaches_ansible_as_it_is_and_is_never_a_template(tmp_path: Path) -> None:
    """Whatever it begins with: what marks a template can be set by the text itself."""
    ran = tmp_path / "ran"
    texts = [text.replace("RAN", str(ran)) for text in TEXTS]
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {"all": {"hosts": {"h": {"texts": texts, **here}}}}
    (tmp_path / "hosts.yml").write_bytes(to_yaml(hosts))
    (tmp_path / "extra.yml").write_bytes(to_yaml({"more": texts}))
    task = {"copy": {"dest": str(tmp_path / "said"), "content": "{{ [texts, more] | to_json }}"}}
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "h", "gather_facts": False, "tasks": [task]}]))
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "-i", str(tmp_path / "hosts.yml"), "-e", f"@{tmp_path / 'extra.yml'}"]
    subprocess.run([*command, str(tmp_path / "play.yml")], check=True, capture_output=True, cwd=tmp_path)
    assert json.loads((tmp_path / "said").read_text()) == [texts, texts]
    assert not ran.exists()


def test_another_users_link_does_not_lead_the_runtime_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it points to keeps its mode and its content, and the sentence says what to do."""
    target = tmp_path / "target"
    (target / "run-2026").mkdir(parents=True)
    target.chmod(0o755)
    (tmp_path / "aiplat").symlink_to(target)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(AiplatError, match="is a link"):
        remove_left_folders()
    assert (target / "run-2026").is_dir()
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_ones_own_link_to_another_disk_is_followed(tmp_path: Path) -> None:
    """A state folder may lie elsewhere; a file in its place is refused with a sentence."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "disk")
    assert private_dir(tmp_path / "state").samefile(tmp_path / "disk")
    assert stat.S_IMODE((tmp_path / "disk").stat().st_mode) == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(AiplatError, match="is not a folder"):
        private_dir(tmp_path / "file")
