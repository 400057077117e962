#!/usr/bin/python
"""Ansible module: what the releases made in the cluster, for the ledger; changes nothing."""

from __future__ import annotations

from ansible.module_utils.aiplat_host import HostProblem
from ansible.module_utils.aiplat_objects import seen_objects
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: release_objects
short_description: What the Helm releases made in the cluster
description:
  - Runs on a server.
options:
  releases: {description: "Those that count: name, namespace.", type: list, elements: dict, required: true}
author: [aiplat]
"""
EXAMPLES = r"""
- name: What the releases made is known
  release_objects: {releases: [{name: gateway, namespace: aiplat-access}]}
  register: made
"""
RETURN = r"""
objects:
  description: "kind/namespace/name to release and digest."
  type: dict
  returned: always
"""


def main() -> None:
    """Run as an Ansible module."""
    releases = {"type": "list", "elements": "dict", "required": True}
    module = AnsibleModule(argument_spec={"releases": releases}, supports_check_mode=True)
    ours = {(release["namespace"], release["name"]) for release in module.params["releases"]}
    try:
        module.exit_json(changed=False, objects=seen_objects(ours))
    except HostProblem as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
