#!/usr/bin/python
"""Ansible module: data folders of former k3s programs go when nothing of them runs any more."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible.module_utils.aiplat_host import below
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: k3s_folders
short_description: Unused data folders of k3s are gone
description:
  - Each k3s unpacks its programs into a folder of its own, 200 MB and more, and never removes one.
  - The current one and the one before it stay, and those whose programs run, as the shims of pods do that an
    older k3s started.
options:
  data: {description: "Where k3s unpacks its programs.", type: path, default: /var/lib/rancher/k3s/data}
  root: {description: "Where the host's paths begin; other than / in tests only.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: No unused data folder is left
  k3s_folders:
"""
RETURN = r"""
notes: {description: "What was removed.", type: list, returned: always}
"""

DATA = "/var/lib/rancher/k3s/data"
LINKS = ("current", "previous")
HEX_DIGITS = 64


def running(root: str) -> set[Path]:
    """Return the programs that run."""
    found = set()
    for entry in below(root, "/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.add((entry / "exe").readlink())
            except OSError:
                continue  # it ended meanwhile, or it is the kernel's own
    return found


def unused(root: str, folder: str) -> list[Path]:
    """Return the data folders that no link names and no process uses."""
    data = below(root, folder)
    if not (data / "current").exists():
        return []  # nobody knows which one is in use
    linked = {(data / name).resolve() for name in LINKS}
    programs = running(root)
    folders = [p for p in data.iterdir() if p.is_dir() and not p.is_symlink() and len(p.name) == HEX_DIGITS]
    free = [folder for folder in folders if folder.resolve() not in linked]
    return [f for f in free if not any(program.is_relative_to(f) for program in programs)]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "data": {"type": "path", "default": DATA},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    try:
        found = unused(module.params["root"], module.params["data"])
        for folder in found if not module.check_mode else ():
            shutil.rmtree(folder)
    except OSError as error:
        module.fail_json(msg=str(error))
    notes = [f"the data folder {folder.name[:12]}… of a former k3s is gone" for folder in found]
    module.exit_json(changed=bool(found), notes=notes)


if __name__ == "__main__":
    main()
