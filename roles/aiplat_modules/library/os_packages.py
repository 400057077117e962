#!/usr/bin/python
"""Ansible module: packages of the host's own system from staged blobs are installed, without any network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.aiplat_host import (
    BLOBS,
    HostProblem,
    below,
    blob,
    read_ledger,
    sha256_of,
    write_ledger,
)
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.host_packages import Dpkg, Rpm, linked, manager

DOCUMENTATION = r"""
module: os_packages
short_description: Packages of the host's own system from staged blobs, installed without network
description:
  - A package that the host has is left alone and stays the host's own. It is upgraded only where a package
    that is missing does not go with the older version.
  - Whether all of it can be installed together is tried first, without changing anything.
  - What is going to be installed is recorded in the ledger first, so that a reset after a kill knows it.
options:
  site: {description: "Name of the site the host belongs to.", type: str, required: true}
  step: {description: "Step of the ledger that keeps what was installed.", type: str, default: host_prepare}
  packages:
    description: "Packages, each with name, version, digest of its file and what the host must run for it."
    type: list
    elements: dict
    default: []
  blobs: {description: "Where staged content is.", type: path, default: /var/lib/aiplat/blobs}
  root: {description: "Where the host's paths begin; other than / in tests only.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The packages are installed
  os_packages: {site: ward-3, packages: [{name: conntrack, version: "1:1.2.3-1", digest: "sha256:…"}]}
"""
RETURN = r"""
installed: {description: "Packages installed now.", type: list, returned: always}
ours: {description: "Packages that aiplat installed here, now or earlier.", type: list, returned: always}
"""

# Where the kernel says that it has SELinux, enforcing or not, and that AppArmor is on.
RUNS = {
    "selinux": ("/sys/fs/selinux/enforce", "01"),
    "apparmor": ("/sys/module/apparmor/parameters/enabled", "Y"),
}
Package = dict[str, str]


def runs(root: str, what: str) -> bool:
    """Say whether the host's kernel runs a security module."""
    path, on = RUNS[what]
    try:
        return below(root, path).read_text()[:1] in set(on)
    except OSError:
        return False


def wanted(root: str, packages: list[Package]) -> list[Package]:
    """Return the packages that this host is meant to have."""
    there = {"", *(what for what in RUNS if runs(root, what))}
    return [p for p in packages if (p.get("needs") or "") in there]


def absent(packages: list[Package], present: dict[str, str]) -> list[Package]:
    """Return the packages that are not there in any version."""
    return [p for p in packages if p["name"] not in present]


def older(
    packages: list[Package], present: dict[str, str], is_older: Callable[[str, str], bool]
) -> list[Package]:
    """Return the packages that are there in an older version."""
    there = [p for p in packages if p["name"] in present]
    return [p for p in there if is_older(present[p["name"]], p["version"])]


def record(root: str, site: str, kept_by: str, names: list[str]) -> list[str]:
    """Add packages to the ledger before they are installed; return all that are recorded."""
    ledger = read_ledger(root, site)
    step: dict[str, Any] = ledger["steps"].setdefault(kept_by, {"inputs": {}})
    step["packages"] = sorted({*step.get("packages", ()), *names})
    if names:
        write_ledger(root, ledger)
    found: list[str] = step["packages"]
    return found


def whole(store: Path, package: Package) -> Path:
    """Return a package's file.

    Raises:
        HostProblem: it is not staged, or not what was staged.
    """
    path = blob(store, package["digest"])
    if f"sha256:{sha256_of(path)}" != package["digest"]:
        raise HostProblem(f"the staged package {package['name']} is damaged; run `aiplat bootstrap` again")
    return path


class Transaction:
    """What is to be done, tried before it is done."""

    def __init__(self, store: Path, tool: Dpkg | Rpm, packages: list[Package]) -> None:
        self.store = store
        self.tool = tool
        self.present = tool.installed()
        self.packages = packages
        self.todo = absent(packages, self.present)

    def try_out(self) -> None:
        """See that what is missing goes with what is there, if need be with newer versions of that.

        Raises:
            HostProblem: it does not.
        """
        if not self.todo or not (refusal := self._refusal(self.todo)):
            return
        newer = older(self.packages, self.present, self.tool.is_older)
        if not newer or (refusal := self._refusal([*self.todo, *newer])):
            names = ", ".join(p["name"] for p in self.todo)
            raise HostProblem(f"{names} cannot be installed here: {refusal}; nothing was changed")
        self.todo += newer

    def carry_out(self) -> None:
        """Install it."""
        self._with_files(self.todo, self.tool.install)

    def _refusal(self, packages: list[Package]) -> str:
        return self._with_files(packages, self.tool.refusal)

    def _with_files(self, packages: list[Package], act: Callable[[list[str]], Any]) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            named = [(f"{p['name']}-{p['digest'][-8:]}", whole(self.store, p)) for p in packages]
            return act(linked(named, Path(folder), self.tool.ending))


def install(module: AnsibleModule) -> dict[str, Any]:
    """Do what there is to do, and say what that was."""
    root, site, step = (module.params[name] for name in ("root", "site", "step"))
    packages = wanted(root, module.params["packages"])
    if not packages:
        return {"changed": False, "installed": [], "ours": record(root, site, step, [])}
    tool = manager(root)
    if not module.check_mode:
        tool.ready()
    transaction = Transaction(below(root, module.params["blobs"]), tool, packages)
    transaction.try_out()
    # An upgraded package was the host's own before; only new ones are recorded as ours.
    new = [p["name"] for p in absent(packages, transaction.present)]
    ours = record(root, site, step, [] if module.check_mode else new)
    if transaction.todo and not module.check_mode:
        transaction.carry_out()
    done = [p["name"] for p in transaction.todo]
    return {"changed": bool(done), "installed": done, "ours": ours}


def main() -> None:
    """Run as an Ansible module."""
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "site": text,
            "step": {"type": "str", "default": "host_prepare"},
            "blobs": {"type": "path", "default": BLOBS},
            "root": {"type": "path", "default": "/"},
            "packages": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": text,
                    "version": text,
                    "digest": text,
                    "needs": {"type": "str", "default": "", "choices": ["", *RUNS]},
                },
            },
        },
        supports_check_mode=True,
    )
    try:
        result = install(module)
    except (HostProblem, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
