"""The Vagrantfile as Debian's vagrant reads it, in a root of its own; no machine is started."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiplat.lab.rootfs import apt_sources
from aiplat.shipped import shipped
from tests.patience import PATIENCE

pytestmark = [pytest.mark.lab, pytest.mark.journey]
# The last release of Debian that has it.
SUITE = "bookworm"
HOSTS = ("vm-s1", "vm-a1")


@pytest.fixture(scope="module")
def vagrant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root with vagrant and this project's Vagrantfile and inventory in it."""
    folder = tmp_path_factory.mktemp("vagrant")
    root, sources, project = folder / "root", folder / "sources", folder / "root/project"
    sources.write_text(apt_sources(SUITE))
    argv = ["mmdebstrap", "--mode=root", "--variant=apt", "--include=vagrant", SUITE, str(root), str(sources)]
    subprocess.run(argv, check=True, timeout=3 * PATIENCE)
    project.mkdir()
    shutil.copy(shipped("roles").parent / "Vagrantfile", project)
    shutil.copytree(shipped("inventory"), project / "inventory")
    yield project
    shutil.rmtree(root)


def validate(project: Path, **environment: str) -> str:
    """Have vagrant read the Vagrantfile; return what it says."""
    argv = ["chroot", str(project.parent), "sh", "-c", "cd /project && vagrant validate --ignore-provider"]
    done = subprocess.run(
        argv,
        env={"PATH": os.environ["PATH"], "HOME": "/root", **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


def test_there_is_a_machine_for_each_host_of_the_site(vagrant: Path) -> None:
    """The site file is the only list of them."""
    said = validate(vagrant)
    assert said.startswith("0\n")
    assert all(f"==> {name}: " in said for name in HOSTS)


def test_another_site_file_brings_other_machines(vagrant: Path) -> None:
    """By AIPLAT_SITE; nodes of two families have their first address."""
    site = vagrant / "two.yaml"
    site.write_text(
        "hosts: [{name: only, address: only, nodeAddress: '192.168.56.21,fd00::21', role: server}]\n"
    )
    said = validate(vagrant, AIPLAT_SITE="/project/two.yaml")
    assert (said.startswith("0\n"), "==> only: " in said, "vm-s1" in said) == (True, True, False)


def test_a_site_without_hosts_is_refused(vagrant: Path) -> None:
    """Nothing is made of a file that is not a site's."""
    (vagrant / "wrong.yaml").write_text("machines: []\n")
    said = validate(vagrant, AIPLAT_SITE="/project/wrong.yaml")
    assert not said.startswith("0\n")
    assert "hosts" in said
