#!/usr/bin/python
"""Ansible module: stops the agent and the pods that this host ran as a node that the cluster forgets."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ansible.module_utils.aiplat_host import HostProblem, run
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.host_commands import Kind
from ansible.module_utils.host_remains import (
    GROUPS_OF_PODS,
    NETWORK,
    kubernetes_processes,
    mounts,
    remove_paths,
)

DOCUMENTATION = r"""
module: former_pods
short_description: Stops what a host ran as a node that the cluster forgets
description:
  - A node that joins again gets another pod network. Pods that run on keep their addresses of the former
    one, which no other node has a route to, and the bridge that the next pods are to be on keeps its own too.
  - The agent is stopped first, so that it does not start the pods again; then processes, mounts, network
    links and control groups of pods go, and the record of the former network, which the kubelet would take
    for the new one until flannel has written that. Images, volumes and the kubelet's folders stay, and the
    agent, started again, makes the pods that the cluster still wants here.
  - A host without an agent's folder has not been a node since it was installed, and what another container
    engine runs on it is left alone.
options:
  unit: {description: "The agent's unit.", type: str, required: true}
  k3s: {description: "The data folder of k3s.", type: path, required: true}
  kubelet: {description: "The data folder of the kubelet.", type: path, required: true}
author: [aiplat]
"""
EXAMPLES = r"""
- name: Nothing of the former node runs
  former_pods: {unit: k3s-agent, k3s: /var/lib/rancher/k3s, kubelet: /var/lib/kubelet}
"""
RETURN = r"""
notes: {description: "What was stopped or removed, by kind and count.", type: list, returned: always}
"""


# flannel's record of the node's network, and the addresses of it that pods have.
RECORDS = ("/run/flannel", "/var/lib/cni/networks")
# What the kubelet's containerd is told of the network; below k3s' folder. k3s writes it at each start.
CONFIGURATION = "agent/etc/cni/net.d"


def find_records(k3s: str) -> list[str]:
    """Return the folders in which the former network is on record."""
    return [path for path in (*RECORDS, f"{k3s}/{CONFIGURATION}") if Path(path).exists()]


def kinds(k3s: str, kubelet: str) -> tuple[Kind, ...]:
    """Return what goes, in the order in which it can be removed."""
    records = Kind("records of the pod network", partial(find_records, k3s), remove_paths)
    return (kubernetes_processes([k3s]), mounts([k3s, kubelet]), *NETWORK, records, *GROUPS_OF_PODS)


def remove(kind: Kind, check: bool) -> str | None:
    """Remove all of one kind; return a note of it, or nothing where there was none.

    Raises:
        HostProblem: Something of it is still there.
    """
    found = kind.find()
    if not found:
        return None
    if not check:
        kind.remove(found)
        if left := kind.find():
            raise HostProblem(
                f"still on the host: {kind.name}: {', '.join(left)}; reboot the host, then go on"
            )
    return f"of the former node: {kind.name}: {len(found)}"


def stop(unit: str, k3s: str, kubelet: str, check: bool) -> list[str]:
    """Stop the agent and remove what its pods left running; return a note of each kind.

    Raises:
        HostProblem: The agent does not stop, or something is still there.
    """
    if not Path(k3s, "agent").exists():
        return []
    if not check:
        run(["systemctl", "stop", unit])
    return [note for kind in kinds(k3s, kubelet) if (note := remove(kind, check))]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "k3s": {"type": "path", "required": True},
            "kubelet": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    p = module.params
    try:
        notes = stop(p["unit"], p["k3s"], p["kubelet"], module.check_mode)
    except (HostProblem, OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(notes), notes=notes)


if __name__ == "__main__":
    main()
