#!/usr/bin/python
"""Ansible module: records in the host's ledger what a finished step left and from which inputs."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.aiplat_host import (
    HostProblem,
    below,
    mode_of,
    read_ledger,
    sha256_of,
    write_ledger,
)
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: ledger
short_description: Records a finished step in the host's ledger
description:
  - The last task of every role. The probe and C(aiplat reset) go by what is written here.
options:
  site: {description: "Name of the site the host belongs to.", type: str, required: true}
  step: {description: "Name of the step, which is the role's.", type: str, required: true}
  inputs: {description: "What the step was made from, name to digest.", type: dict, default: {}}
  files: {description: "Files the step manages; hashed here.", type: list, elements: str, default: []}
  dirs: {description: "Folders it made.", type: list, elements: str, default: []}
  links: {description: "Symbolic links it made.", type: list, elements: str, default: []}
  units: {description: "Units that must be active and enabled.", type: list, elements: str, default: []}
  packages: {description: "Debian packages it installed.", type: list, elements: str, default: []}
  objects: {description: "Objects of the cluster it made, by kind/namespace/name.", type: dict, default: {}}
  root: {description: "Where the host's paths begin; other than / in tests only.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The ledger knows this step
  ledger: {site: ward-3, step: site_registry, files: [/etc/example.yml]}
"""
RETURN = r"""#"""


def recorded(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the step as the ledger keeps it: files by what they are now."""
    root = parameters["root"]
    files = {name: below(root, name) for name in sorted(parameters["files"])}
    return {
        "inputs": parameters["inputs"],
        "files": {name: {"sha256": sha256_of(path), "mode": mode_of(path)} for name, path in files.items()},
        "dirs": sorted(parameters["dirs"]),
        "links": {name: str(below(root, name).readlink()) for name in sorted(parameters["links"])},
        "units": sorted(parameters["units"]),
        "packages": sorted(parameters["packages"]),
        "objects": parameters["objects"],
    }


def main() -> None:
    """Run as an Ansible module."""
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "site": {"type": "str", "required": True},
            "step": {"type": "str", "required": True},
            "inputs": {"type": "dict", "default": {}},
            "files": names,
            "dirs": names,
            "links": names,
            "units": names,
            "packages": names,
            "objects": {"type": "dict", "default": {}},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=False,
    )
    try:
        ledger = read_ledger(module.params["root"], module.params["site"])
        ledger["steps"][module.params["step"]] = recorded(module.params)
        changed = write_ledger(module.params["root"], ledger)
    except (HostProblem, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
