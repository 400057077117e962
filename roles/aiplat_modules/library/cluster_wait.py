#!/usr/bin/python
"""Ansible module: waits until objects exist in the cluster and have a condition; changes nothing."""

from __future__ import annotations

import time
from datetime import datetime

from ansible.module_utils.aiplat_host import HostProblem, kubectl
from ansible.module_utils.aiplat_pods import pod_troubles
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: cluster_wait
short_description: Objects of the cluster have a condition
description:
  - Runs on a server. Besides conditions there is C(a ready replica), for a Deployment may be Available
    without one. A node stays Ready for the better part of a minute after its kubelet lost the API server:
    C(alive) waits for a sign of life since a time.
options:
  objects: {description: "Kind/name to condition.", type: dict, required: true}
  alive: {description: "Nodes to the time, in seconds since the epoch.", type: dict, default: {}}
  namespace: {description: "Their namespace.", type: str, default: default}
  timeout: {description: "Seconds in all.", type: int, default: 300}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The node is Ready
  cluster_wait: {objects: {node/s1: Ready}}
"""
RETURN = r"""#"""

RETRY_SECONDS = 1
# What a kubelet renews every ten seconds.
LEASE = ("--namespace", "kube-node-lease", "--request-timeout=10s", "get", "lease")
# What is not a condition of an object but can be waited for: a count that is absent while it is 0.
OTHERS = {"a ready replica": "jsonpath={.status.readyReplicas}"}


def wait(namespace: str, name: str, condition: str, deadline: float) -> None:
    """Wait for one object to exist and to have a condition.

    Raises:
        HostProblem: it did not come to that in time.
    """
    for what in ("create", OTHERS.get(condition, f"condition={condition}")):
        while not _came(namespace, name, what, deadline):
            # kubectl gives up at once where the API server is not there, as when it restarts.
            time.sleep(RETRY_SECONDS)


def _came(namespace: str, name: str, what: str, deadline: float) -> bool:
    """Ask once, for as long as there is time; one that fails before the deadline is not an answer yet."""
    left = max(1, int(deadline - time.monotonic()))
    try:
        kubectl(
            "--namespace", namespace, "wait", name, f"--for={what}", f"--timeout={left}s", timeout=left + 30
        )
    except HostProblem:
        if time.monotonic() + RETRY_SECONDS >= deadline:
            raise
        return False
    return True


def wait_for_life(node: str, since: float, deadline: float) -> None:
    """Wait until a node's kubelet has renewed its lease since a time, by the node's own clock.

    Raises:
        HostProblem: it did not in time.
    """
    while True:
        try:
            seen = kubectl(*LEASE, node, "-o", "jsonpath={.spec.renewTime}", timeout=30)
            if seen and datetime.fromisoformat(seen.strip().replace("Z", "+00:00")).timestamp() >= since:
                return
            problem = f"its last sign of life is of {seen or 'never'}"
        except HostProblem as error:
            problem = str(error)
        if time.monotonic() >= deadline:
            raise HostProblem(f"the kubelet of {node} does not reach the API server: {problem}")
        time.sleep(RETRY_SECONDS)


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "objects": {"type": "dict", "required": True},
            "alive": {"type": "dict", "default": {}},
            "namespace": {"type": "str", "default": "default"},
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    deadline = time.monotonic() + module.params["timeout"]
    try:
        for node, since in module.params["alive"].items():
            wait_for_life(node, float(since), deadline)
    except HostProblem as error:
        module.fail_json(msg=str(error))
    try:
        for name, condition in module.params["objects"].items():
            wait(module.params["namespace"], name, condition, deadline)
    except HostProblem as error:
        verb = "has no" if condition in OTHERS else "is not"
        said = f"{name} {verb} {condition.removeprefix('a ')}: {error}"
        module.fail_json(msg="; ".join(filter(None, (said, pod_troubles(module.params["namespace"])))))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
