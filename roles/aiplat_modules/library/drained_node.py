#!/usr/bin/python
"""Ansible module: a node takes no new pods and has none that could run elsewhere; runs on a server."""

from __future__ import annotations

import json

from ansible.module_utils.aiplat_host import HostProblem, kubectl
from ansible.module_utils.aiplat_objects import FOR_REBOOT
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: drained_node
short_description: A node takes no new pods and has none that could run elsewhere
description:
  - Runs on a server. A node that the cluster does not have is drained.
options:
  name: {description: "Name of the node.", type: str, required: true}
  for_reboot: {description: "It is marked, so that C(open_node) opens it again.", type: bool, default: false}
  host_is_gone: {description: "The host cannot answer: pods are not waited for.", type: bool, default: false}
  timeout: {description: "Seconds that pods may take to end.", type: int, default: 700}
author: [aiplat]
"""
EXAMPLES = r"""
- name: Nothing that could run elsewhere runs on the node
  drained_node: {name: a1}
"""
RETURN = r"""
notes: {description: "What left the node.", type: list, returned: always}
"""

# Pods of a node that cannot end them are deleted by force; the node is deleted right after.
GONE = ("--force", "--grace-period=0", "--timeout=60s")


def movable(node: str) -> list[str]:
    """Return the pods, namespace/name, that run on the node and are not DaemonSet's."""
    listed = kubectl("get", "pods", "-A", "--field-selector", f"spec.nodeName={node}", "-o", "json")
    pods = [
        item["metadata"]
        for item in json.loads(listed)["items"]
        if item["status"].get("phase") not in ("Succeeded", "Failed")
    ]
    owners = [{o["kind"] for o in pod.get("ownerReferences", ())} for pod in pods]
    return sorted(
        f"{pod['namespace']}/{pod['name']}"
        for pod, kinds in zip(pods, owners, strict=True)
        if not kinds & {"DaemonSet", "Node"}
    )


def takes_pods(node: str) -> bool:
    """Say whether the cluster has the node and would start pods on it."""
    found = kubectl("get", "node", node, "--ignore-not-found", "-o", "json")
    return bool(found.strip()) and not json.loads(found)["spec"].get("unschedulable", False)


def mark(node: str) -> None:
    """Say on a node that it is closed for a reboot; one that takes no pods was closed by somebody else."""
    if takes_pods(node):
        kubectl("annotate", "node", node, f"{FOR_REBOOT}=", "--overwrite")


def drain(node: str, gone: bool, timeout: int, check: bool) -> list[str]:
    """Take the pods off the node; return what there is to say.

    Raises:
        HostProblem: a pod does not leave in time.
    """
    pods = movable(node)
    if not pods and not takes_pods(node):
        return []
    if not check:
        waits = GONE if gone else (f"--timeout={timeout}s",)
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force")
        kubectl("drain", node, *options, *waits, timeout=timeout + 60)
    return [f"{node} takes no more pods", *(f"{pod} left {node}" for pod in pods)]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "for_reboot": {"type": "bool", "default": False},
            "host_is_gone": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 700},
        },
        supports_check_mode=True,
    )
    p = module.params
    try:
        if p["for_reboot"] and not module.check_mode:
            mark(p["name"])
        notes = drain(p["name"], p["host_is_gone"], p["timeout"], module.check_mode)
    except HostProblem as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(notes), notes=notes)


if __name__ == "__main__":
    main()
