#!/usr/bin/python
"""Ansible module: whether this host comes to the cluster as a stranger; changes nothing."""

from __future__ import annotations

from ansible.module_utils.aiplat_host import HostProblem, below, run
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: agent_identity
short_description: Whether the host lacks the password its node has in the cluster
description:
  - A node shows a password that it made itself. A host reinstalled has none or another one, and the server
    turns it away for as long as it remembers the node of that name.
  - A host whose agent runs is not a stranger, whatever its files say.
options:
  unit: {description: "The agent's unit.", type: str, required: true}
  root: {description: "Where the host's paths begin; other than / in tests only.", type: path, default: /}
author: [aiplat]
"""
EXAMPLES = r"""
- name: Whether the cluster knows this host is known
  agent_identity: {unit: k3s-agent}
  register: k3s_agent_identity
"""
RETURN = r"""
stranger: {description: "Whether the host cannot show its node's password.", type: bool, returned: always}
"""

KEPT = "/etc/rancher/node/password"
REJECTED = "password rejected"


def said(*argv: str) -> str:
    """Return what a command prints, or nothing where it fails."""
    try:
        return run(list(argv))
    except (HostProblem, OSError):
        return ""


def is_stranger(root: str, unit: str) -> bool:
    """Say whether the host has no password, or was turned away with the one it has."""
    if said("systemctl", "show", "-P", "ActiveState", unit).strip() == "active":
        return False
    words = said("journalctl", "--unit", unit, "--lines", "40", "--no-pager", "--output", "cat")
    return not below(root, KEPT).exists() or REJECTED in words.lower()


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, stranger=is_stranger(module.params["root"], module.params["unit"]))


if __name__ == "__main__":
    main()
