"""A user with sudo and a password, through a jump host, on a host with another port and two network cards."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiplat.fleet.sudo import PASSWORD_FILE
from aiplat.lab import lab_down, lab_up
from aiplat.site.load import load_site
from tests.e2e.access import ADDRESS, CARD, HOST, JUMP_ADDRESS, JUMP_PORT, NODE_ADDRESS, PORT, Access
from tests.e2e.journey import SITES, Journey

pytestmark = [pytest.mark.lab, pytest.mark.journey]
PASSWORD = "horse{{'battery'}} $taple"


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """Give hosts that were made hard to reach, and what was on them before anything was installed."""
    state = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPLAT_STATE", str(state))
        patch.setenv("XDG_CACHE_HOME", os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        vault = tmp_path_factory.mktemp("vault") / "password"
        vault.write_text("of the vault\n")
        vault.chmod(0o600)
        patch.setenv("AIPLAT_VAULT_PASSWORD_FILE", str(vault))
        lab = load_site(SITES / "access.yaml")
        try:
            lab_up(lab)
            found = Access(lab.name, tmp_path_factory.mktemp("desk"))
            found.prepare(PASSWORD)
            yield found
        finally:
            lab_down(lab.name)
    shutil.rmtree(state)


@pytest.fixture(scope="module")
def desk(access: Access) -> Journey:
    """The site as its user has it."""
    return Journey("t-desk", access.site_file, Path(os.environ["AIPLAT_STATE"]))


@pytest.fixture(scope="module")
def before(access: Access) -> dict[str, list[str]]:
    """What is on the host before anybody touched it."""
    return access.seen()


class Watcher:
    """Looks at every process of this machine, hosts' included, for the password, as long as a block runs."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            for entry in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    try:
                        if PASSWORD.encode() in (entry / name).read_bytes():
                            self.found.add(f"{name} of {(entry / 'cmdline').read_text()}")
                    except OSError:
                        continue


@pytest.fixture(scope="module")
def password_file(access: Access) -> Path:
    """A file with the password, as a program would be given it."""
    file = access.folder / "password"
    file.write_text(PASSWORD + "\n")
    file.chmod(0o600)
    return file


def test_a_stranger_is_not_trusted_unasked(desk: Journey, before: dict[str, list[str]]) -> None:
    """Where nobody can be asked, the jump host's fingerprint is said and nobody logs in anywhere."""
    said = desk.aiplat("plan", str(desk.site_file), "--json", expect=2).stderr
    assert f"jump host boss@{JUMP_ADDRESS}:{JUMP_PORT}: its key SHA256:" in said
    assert "--accept-new-host-keys" in said


def test_keys_are_kept_and_the_password_is_missed(desk: Journey, before: dict[str, list[str]]) -> None:
    """With the option both keys are kept, the jump host's first; then sudo's question is reported."""
    said = desk.aiplat("plan", str(desk.site_file), "--accept-new-host-keys", "--json", expect=1).stderr
    assert "desk: ops needs a password for sudo" in said
    known = (desk.state / "aiplat/sites/t-desk/known_hosts").read_text().splitlines()
    assert [line.split()[0] for line in known] == [f"[{JUMP_ADDRESS}]:{JUMP_PORT}", f"[{ADDRESS}]:{PORT}"]


def test_a_wrong_password_is_told(
    desk: Journey, access: Access, before: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One attempt is made, and the sentence says what was wrong."""
    wrong = access.folder / "wrong"
    wrong.write_text("wrong\n")
    wrong.chmod(0o600)
    monkeypatch.setenv(PASSWORD_FILE, str(wrong))
    said = desk.aiplat("plan", str(desk.site_file), "--json", expect=2).stderr
    assert "desk: the sudo password of ops is wrong" in said


def test_a_changed_key_is_refused(desk: Journey, before: dict[str, list[str]]) -> None:
    """Another key of the jump host ends in a sentence with the way out, and nothing is sent to it."""
    file = desk.state / "aiplat/sites/t-desk/known_hosts"
    known = file.read_text()
    lines = known.splitlines()
    other = lines[1].split()[2]
    file.write_text(" ".join([*lines[0].split()[:2], other[:-6] + "AAAAAA"]) + "\n" + lines[1] + "\n")
    try:
        said = desk.aiplat("plan", str(desk.site_file), "--json", expect=1).stderr
    finally:
        file.write_text(known)
    assert "shows another host key than the one in" in said
    assert f"-R '[{JUMP_ADDRESS}]:{JUMP_PORT}'" in said


@pytest.fixture(scope="module")
def first(desk: Journey, before: dict[str, list[str]], password_file: Path) -> dict[str, Any]:
    """The summary of the first bootstrap, watched by who looks for the password."""
    with pytest.MonkeyPatch.context() as patch, Watcher() as watcher:
        patch.setenv(PASSWORD_FILE, str(password_file))
        summary = desk.bootstrap()
    return summary | {"seen_password": sorted(watcher.found)}


def test_the_first_bootstrap_ends_with_the_models_own_words(first: dict[str, Any]) -> None:
    """All the way through the jump host and sudo, up to an answer."""
    assert first["state"] == "done"
    assert "5, 6, 7" in first["words"]["answer"]
    assert [c["sentence"] for c in first["checks"] if c["result"] == "FAIL"] == []


def test_the_password_was_seen_nowhere(desk: Journey, first: dict[str, Any], access: Access) -> None:
    """No process has it in its arguments or environment; no journal, log or host file holds it."""
    assert first["seen_password"] == []
    files = (path for path in desk.state.rglob("*") if path.is_file() and path.stat().st_size < 1 << 24)
    assert [str(path) for path in files if PASSWORD.encode() in path.read_bytes()] == []
    command = (
        "grep -rlF horse /var/log /etc/aiplat /var/lib/aiplat/ledger.json /run/aiplat 2>/dev/null || true"
    )
    assert access.on_host(HOST, command) == ""


def test_the_node_is_known_by_its_second_card(access: Access, first: dict[str, Any]) -> None:
    """Kubernetes has the node address, and pods' traffic uses that card."""
    node = json.loads(
        access.on_host(
            HOST, "kubectl --cache-dir=/run/t-kubectl get node desk -o json; rm -rf /run/t-kubectl"
        )
    )
    addresses = {a["type"]: a["address"] for a in node["status"]["addresses"]}
    assert addresses["InternalIP"] == NODE_ADDRESS
    assert f"flannel-iface: {CARD}" in access.on_host(HOST, "cat /etc/rancher/k3s/config.yaml").replace(
        '"', ""
    )


def test_reset_leaves_nothing(
    desk: Journey, access: Access, before: dict[str, list[str]], first: dict[str, Any], password_file: Path
) -> None:
    """Rules, links, routes, control groups, mounts, units and files are those from before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PASSWORD_FILE, str(password_file))
        desk.aiplat("reset", str(desk.site_file), "--yes", "--json")
    after = access.seen()
    left = {kind: sorted(set(after[kind]) - set(before[kind])) for kind in after}
    gone = {kind: sorted(set(before[kind]) - set(after[kind])) for kind in after}
    assert {kind: names for kind, names in left.items() if names} == {}
    assert {kind: names for kind, names in gone.items() if names} == {}


def test_it_can_be_installed_again(desk: Journey, first: dict[str, Any], password_file: Path) -> None:
    """The bootstrap after a reset ends as the first one did; once more, it changes nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PASSWORD_FILE, str(password_file))
        again = desk.bootstrap()
        third = desk.bootstrap()
    assert (again["state"], third["changed"]) == ("done", 0)
    assert "5, 6, 7" in again["words"]["answer"]
