"""Writes what Ansible reads for one run into a private folder that is wiped afterwards; starts nothing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from aiplat.content import write_atomic
from aiplat.fleet.ssh import remote_user
from aiplat.fleet.ssh_config import as_options, config_options, connection, control_socket, runtime_dir
from aiplat.fleet.sudo import sudo_password
from aiplat.plan.models import Plan
from aiplat.plan.role_variables import RoleVariables
from aiplat.plan.steps import managed
from aiplat.site.models import Host, Site
from aiplat.state import private_dir, site_dir

_PREFIX = "run-"
# Made and removed on the host by the lease.
SCRATCH = "/run/aiplat"
_HARMLESS = re.compile(r"[A-Za-z0-9_.:/+~=<@, -]*")
# What a host's profile says of a proxy is not for what stays inside the site.
_WITHOUT_PROXY = {
    name: "" for both in ("http_proxy", "https_proxy", "all_proxy") for name in (both, both.upper())
}


@dataclass(frozen=True)
class RunFolder:
    """The private files of one run; they are gone when its block ends."""

    path: Path
    run_id: str

    @property
    def inventory(self) -> Path:
        """Hosts, groups and the roles' public variables."""
        return self.path / "hosts.yml"

    @property
    def secrets(self) -> Path:
        """Variables that must not be seen, as an extra-vars file."""
        return self.path / "secrets.yml"


class _Representer(SafeRepresenter):
    """Writes every text quoted, and with the tag that keeps Ansible from taking it for a template.

    What begins a template can be set by the text itself, so no list of marks is complete. Only texts of
    letters that no template can be made of lack the tag: with it Ansible would read `yes` as a boolean.
    """

    def represent_text(self, text: str) -> ScalarNode:
        tag = "tag:yaml.org,2002:str" if _HARMLESS.fullmatch(text) else "!unsafe"
        node: ScalarNode = self.represent_scalar(tag, text, style='"')
        return node

    def represent_key(self, data: Any) -> ScalarNode:
        # Names of variables, hosts and groups: Ansible knows them as they are.
        node: ScalarNode = self.represent_scalar("tag:yaml.org,2002:str", str(data))
        return node


_Representer.add_representer(str, _Representer.represent_text)


@contextlib.contextmanager
def write_run_folder(
    site: Site,
    plan: Plan,
    run_id: str,
    variables: Mapping[str, Sequence[RoleVariables]],
    secrets: Mapping[str, Any],
) -> Iterator[RunFolder]:
    """Write inventory and secrets for a run (0600 in a 0700 folder, in memory if possible); wiped at the end.

    `variables` maps host names to their roles' variables, `secrets` Ansible variables to values.
    """
    remove_left_folders()
    folder = RunFolder(private_dir(runtime_dir() / f"{_PREFIX}{run_id}"), run_id)
    alive = _locked(folder.path)
    try:
        if site.is_guest:
            private_dir(scratch_of(run_id))
        write_atomic(folder.inventory, to_yaml(inventory_document(site, plan, run_id, variables)), 0o600)
        write_atomic(folder.secrets, to_yaml(dict(secrets) | _become_password()), 0o600)
        yield folder
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)
        os.close(alive)


def scratch_of(run_id: str) -> Path:
    """Return where a run on this machine alone keeps what goes with it, in the run's own folder."""
    return runtime_dir() / f"{_PREFIX}{run_id}" / "scratch"


def remove_left_folders() -> None:
    """Wipe the run folders whose runs were killed; a running one holds its folder locked."""
    for path in runtime_dir().glob(f"{_PREFIX}*"):
        try:
            handle = _locked(path)
        except OSError:
            continue
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


def _locked(folder: Path) -> int:
    # The kernel lets go of the lock however the process ends.
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle


def to_yaml(document: Any) -> bytes:
    """Return a document as YAML for Ansible; its text is never taken for a template."""
    writer = YAML(typ="safe", pure=True)
    writer.Representer = _Representer
    writer.default_flow_style = False
    writer.width = 1 << 16
    stream = BytesIO()
    writer.dump(document, stream)
    return stream.getvalue()


def inventory_document(
    site: Site, plan: Plan, run_id: str, variables: Mapping[str, Sequence[RoleVariables]]
) -> dict[str, Any]:
    """Return the inventory: every host with its variables, groups by role and by step."""
    groups = {
        "server": [h.name for h in site.servers],
        "agent": [h.name for h in site.agents],
        "helm_runner": [site.servers[0].name],
    }
    groups |= {f"step_{step.id}": list(step.hosts) for step in plan.steps}
    hosts = {
        host.name: _reach(site, host, run_id)
        | _role_variables(site, plan, host, variables.get(host.name, ()))
        for host in site.hosts
    }
    return {
        "all": {
            "vars": {"aiplat_environment": {"AIPLAT_RUN_ID": run_id, **_environment(site, run_id)}},
            "hosts": hosts,
            "children": {name: {"hosts": dict.fromkeys(members)} for name, members in groups.items()},
        }
    }


def _environment(site: Site, run_id: str) -> dict[str, str]:
    if not site.is_guest:
        return {"TMPDIR": SCRATCH, **_WITHOUT_PROXY}
    scratch = str(scratch_of(run_id))
    return {"TMPDIR": scratch, "AIPLAT_SCRATCH": scratch, "AIPLAT_HOME": str(site_dir(site.name))}


def _role_variables(site: Site, plan: Plan, host: Host, variables: Sequence[RoleVariables]) -> dict[str, Any]:
    inputs = {step.id: step.inputs.get(host.name, {}) for step in plan.steps}
    result: dict[str, Any] = {}
    for of_role in variables:
        result |= of_role.ansible()
        result[f"{of_role.role}_site"] = site.name
        result[f"{of_role.role}_inputs"] = inputs.get(of_role.role, {})
        result[f"{of_role.role}_managed"] = managed(of_role.role)
    return result


def _reach(site: Site, host: Host, run_id: str) -> dict[str, Any]:
    if site.is_guest:
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(scratch_of(run_id) / "ansible"),
        }
    # Only through the connection that the lease holds: where it is gone, ssh finds no other way
    # (ProxyCommand=false), and nothing is changed by a run that lost its lock.
    settings = {name: value for name, value in connection(site, host).items() if name != "ProxyJump"} | {
        "ControlMaster": "no",
        "ControlPath": str(control_socket(site, host, run_id)),
        "ProxyCommand": "false",
    }
    return {
        "ansible_host": host.address,
        "ansible_ssh_args": shlex.join([*config_options(site, host), *as_options(settings)]),
        "ansible_become": remote_user(site, host) != "root",
    }


def _become_password() -> dict[str, str]:
    password = sudo_password()
    return {} if password is None else {"ansible_become_password": password}
