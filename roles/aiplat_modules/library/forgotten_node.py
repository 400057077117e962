#!/usr/bin/python
"""Ansible module: the cluster forgets a node that left or whose host was reinstalled; runs on a server."""

from __future__ import annotations

import json
import time

from ansible.module_utils.aiplat_host import HostProblem, kubectl
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: forgotten_node
short_description: A node and its password are gone from the cluster
description:
  - Runs on a server, when a host has left, or before one that was reinstalled joins again.
options:
  name: {description: "Name of the node.", type: str, required: true}
  timeout: {description: "Seconds until both are gone.", type: int, default: 60}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The cluster forgets the node of the old disk
  forgotten_node: {name: a1}
  delegate_to: s1
"""
RETURN = r"""
notes: {description: "What was deleted, and which volumes are lost.", type: list, returned: always}
"""

RETRY_SECONDS = 1
NAMESPACE = "kube-system"


def secret_of(node: str) -> str:
    """Return the name of the Secret that k3s keeps the hash of a node's password in."""
    return f"{node}.node-password.k3s"


def there(node: str) -> list[str]:
    """Return which of the node and its password the cluster has, as kubectl names them."""
    found = kubectl("get", "node", node, "--ignore-not-found", "-o", "name").split()
    options = ("--namespace", NAMESPACE, "--ignore-not-found", "-o", "name")
    return found + kubectl("get", "secret", secret_of(node), *options).split()


def local_volumes(node: str) -> list[str]:
    """Return the claims, namespace/name, whose volume can only be on this node."""
    items = json.loads(kubectl("get", "persistentvolumes", "-o", "json"))["items"]
    bound = [item for item in items if node in json.dumps(item["spec"].get("nodeAffinity", {})).split('"')]
    claims = [item["spec"].get("claimRef") for item in bound]
    return sorted(f"{claim['namespace']}/{claim['name']}" for claim in claims if claim)


def forget(node: str, timeout: int, check: bool) -> list[str]:
    """Delete the node and its password; return what there is to say.

    Raises:
        HostProblem: one of them does not go.
    """
    found = there(node)
    if not found:
        return []
    lost = local_volumes(node)
    deadline = time.monotonic() + timeout
    while not check and (left := there(node)):
        if time.monotonic() > deadline:
            raise HostProblem(f"the cluster does not forget {' and '.join(left)}")
        kubectl("delete", "node", node, "--ignore-not-found", "--wait=false")
        kubectl("delete", "secret", secret_of(node), "--namespace", NAMESPACE, "--ignore-not-found")
        time.sleep(RETRY_SECONDS)
    said = f"{node}: the cluster forgot {' and '.join(found)}"
    return [said, *(f"what the volume of {claim} held is lost" for claim in lost)]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        notes = forget(module.params["name"], module.params["timeout"], module.check_mode)
    except HostProblem as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(notes), notes=notes)


if __name__ == "__main__":
    main()
