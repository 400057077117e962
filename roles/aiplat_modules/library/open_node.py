#!/usr/bin/python
"""Ansible module: a node that was closed for a reboot is Ready and takes pods again; runs on a server."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, kubectl
from ansible.module_utils.aiplat_objects import FOR_REBOOT
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: open_node
short_description: A node that aiplat closed for a reboot takes pods again
description:
  - Waits until the node is Ready. One without the mark of C(drained_node) was closed by somebody else, or
    not at all, and is left closed.
options:
  name: {description: "Name of the node.", type: str, required: true}
  timeout: {description: "Seconds the node may take to be Ready.", type: int, default: 600}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The node takes pods again
  open_node: {name: a1}
"""
RETURN = r"""
notes: {description: "That the node takes pods again.", type: list, returned: always}
"""

PAUSE_SECONDS = 2.0


def node_of(name: str) -> dict[str, Any]:
    """Return a node, empty where the cluster has none of that name."""
    found = kubectl("get", "node", name, "--ignore-not-found", "-o", "json")
    node: dict[str, Any] = json.loads(found) if found.strip() else {}
    return node


def is_marked(node: dict[str, Any]) -> bool:
    """Say whether aiplat closed the node for a reboot."""
    return FOR_REBOOT in node.get("metadata", {}).get("annotations", {})


def is_ready(node: dict[str, Any]) -> bool:
    """Say whether the node is Ready."""
    conditions = node.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def wait_ready(name: str, timeout: int) -> dict[str, Any]:
    """Wait until a node is Ready and return it; a server that has just started does not answer yet.

    Raises:
        HostProblem: it is not in time.
    """
    deadline = time.monotonic() + timeout
    problem = f"node {name} is not Ready {timeout} s after its host came back"
    while time.monotonic() < deadline:
        with contextlib.suppress(HostProblem):
            if is_ready(node := node_of(name)):
                return node
        time.sleep(PAUSE_SECONDS)
    raise HostProblem(problem)


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    name = module.params["name"]
    try:
        marked = is_marked(wait_ready(name, module.params["timeout"]))
        if marked and not module.check_mode:
            kubectl("uncordon", name)
            kubectl("annotate", "node", name, f"{FOR_REBOOT}-")
    except HostProblem as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=marked, notes=[f"{name} takes pods again"] if marked else [])


if __name__ == "__main__":
    main()
