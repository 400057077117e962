"""Roles and playbooks keep the rules that Ansible's own linter has for production."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from aiplat.shipped import shipped_root


def test_ansible_lint_finds_nothing() -> None:
    """The production profile passes, offline."""
    program = Path(sys.executable).with_name("ansible-lint")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(shipped_root() / "ansible.cfg"), "NO_COLOR": "1"}
    environment["PATH"] = f"{program.parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        [program, "--offline", "-q", "roles", "playbooks"],
        cwd=shipped_root(),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_play_of_bootstrap_is_named_after_its_steps_group() -> None:
    """The plan's step ids are the plays' names, and a play's group is that step's."""
    lines = (shipped_root() / "playbooks/bootstrap.yml").read_text().splitlines()
    names = [line.removeprefix("- name: ") for line in lines if line.startswith("- name: ")]
    groups = [line.removeprefix("  hosts: step_") for line in lines if line.startswith("  hosts: ")]
    settings = [line for line in lines if line == "  max_fail_percentage: 0"]
    assert len(settings) == len(names)
    assert names == groups == ["host_prepare", "site_registry", "k3s_server", "k3s_agent", "plane_release"]
