"""What installs a host's packages, on a lab host: once, nothing the second time, removed again."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiplat.lab import LabStatus, lab_up, ssh_argv
from aiplat.plan.steps import managed
from aiplat.shipped import shipped
from tests.lab_driver.sites import site
from tests.patience import PATIENCE
from tests.upstreams.apt_repository import Deb

pytestmark = pytest.mark.lab
NAME = "t-lab-packages"
HOST = "10.97.41.11"


@pytest.fixture(scope="module")
def lab(removed_after: Callable[[str], str]) -> LabStatus:
    """Bring up a server."""
    return lab_up(site(removed_after(NAME), HOST))


def on_host(command: str, stdin: bytes = b"") -> str:
    """Run a command on the host and return what it prints."""
    argv = [*ssh_argv(NAME, "s1"), command]
    return subprocess.run(
        argv, input=stdin, capture_output=True, check=True, timeout=PATIENCE
    ).stdout.decode()


def module(name: str, folder: Path, **parameters: Any) -> dict[str, Any]:
    """Run one of our modules on the host as a play does, and return what it tells."""
    ssh = ssh_argv(NAME, "s1")
    inventory = {"all": {"hosts": {"s1": {"ansible_host": HOST, "ansible_user": "root"}}}}
    (folder / "hosts.json").write_text(json.dumps(inventory))
    roles = shipped("roles")
    libraries = ":".join(map(str, roles.glob("*/library")))
    utilities = ":".join(map(str, roles.glob("*/module_utils")))
    environment = {
        **os.environ,
        "ANSIBLE_LIBRARY": libraries,
        "ANSIBLE_MODULE_UTILS": utilities,
        "ANSIBLE_SSH_ARGS": shlex.join(ssh[1:-1]),
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }
    program = str(Path(sys.executable).with_name("ansible"))
    argv = [program, "-i", str(folder / "hosts.json"), "s1", "-m", name, "-a", json.dumps(parameters)]
    done = subprocess.run(
        argv, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert "=> {" in done.stdout, done.stdout + done.stderr
    told: dict[str, Any] = json.loads("{" + done.stdout.partition("=> {")[2])
    return told


def staged(folder: Path, deb: Deb) -> dict[str, str]:
    """Stage a package on the host and return what the module is told of it."""
    content = deb.build(folder)
    digest = hashlib.sha256(content).hexdigest()
    on_host(f"mkdir -p /var/lib/aiplat/blobs/sha256 && cat > /var/lib/aiplat/blobs/sha256/{digest}", content)
    return {"name": deb.name, "version": deb.version, "digest": f"sha256:{digest}"}


def test_packages_come_once_and_go_with_a_reset(lab: LabStatus, tmp_path: Path) -> None:
    """What cannot be installed changes nothing; then two come, nothing follows, and a reset takes them."""
    before = on_host("dpkg-query -W")
    broken = staged(tmp_path, Deb("made-broken", arch="all", fields={"Depends": "made-nowhere"}))
    refused = module("os_packages", tmp_path, site=NAME, packages=[broken])
    assert "made-broken cannot be installed here" in refused["msg"]
    assert "made-nowhere" in refused["msg"]
    assert on_host("dpkg-query -W") == before

    tool = staged(tmp_path, Deb("made-tool", arch="all", fields={"Depends": "made-library, libc6"}))
    library = staged(tmp_path, Deb("made-library", arch="all"))
    first = module("os_packages", tmp_path, site=NAME, packages=[tool, library])
    assert (first["changed"], sorted(first["ours"])) == (True, ["made-library", "made-tool"])
    assert on_host("cat /usr/share/made/made-tool").strip() == "1.0-1"
    assert module("os_packages", tmp_path, site=NAME, packages=[tool, library])["changed"] is False

    gone = module("host_reset", tmp_path, site=NAME, managed=managed("host_reset"))
    assert gone["removed"]["packages that aiplat installed"] == ["made-library", "made-tool"]
    assert on_host("dpkg-query -W") == before
