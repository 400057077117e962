#!/usr/bin/python
"""Ansible module: nodes offer their GPUs as a site says and stay Ready after a change; runs on a server."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, kubectl
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: shared_gpus
short_description: Nodes offer their GPUs as a site says
description:
  - Labels nodes with the names of configurations of NVIDIA's device plugin and MIG manager, waits until they
    offer what comes of it, and watches that they stay Ready.
  - A node without a device plugin gets its labels alone.
options:
  nodes:
    description: "Nodes, each with name, labels, resources and says."
    type: list
    elements: dict
    default: []
  configs:
    description: "ConfigMaps, each with name, namespace and data; one that is not there is not made."
    type: list
    elements: dict
    default: []
  seconds: {description: "How long to wait for all of it.", type: int, default: 900}
  renewals: {description: "Signs of life over which a node has to stay Ready.", type: int, default: 6}
author: [aiplat]
"""
EXAMPLES = r"""
- name: Nodes offer their GPUs as the site says
  shared_gpus: {nodes: "{{ gpu_sharing_nodes }}", configs: "{{ gpu_sharing_configs }}"}
"""
RETURN = r"""
notes: {description: "What each changed node offers.", type: list, returned: always}
"""

OF_NVIDIA = "nvidia.com/"
PLUGIN, MIG = "nvidia.com/device-plugin.config", "nvidia.com/mig.config"
MIG_STATE, NO_MIG = "nvidia.com/mig.config.state", "all-disabled"
# Who finds a node cordoned has to know by whom: one that a person cordoned stays so.
CORDONED = "aiplat.dev/cordoned-for-gpus"
PAUSE_SECONDS = 1.0
# The MIG manager gives up where its configuration reaches it later than the label.
RETRY_SECONDS = 30.0


def node_of(name: str) -> dict[str, Any]:
    """Return a node as the API has it."""
    found: dict[str, Any] = json.loads(kubectl("get", "node", name, "-o", "json"))
    return found


def offered(node: dict[str, Any]) -> dict[str, int]:
    """Return what a node offers of NVIDIA's resources, without those it has none of."""
    amounts = node["status"].get("allocatable", {})
    return {n: int(v) for n, v in amounts.items() if n.startswith(OF_NVIDIA) and int(v)}


def to_label(node: dict[str, Any], wanted: dict[str, str]) -> list[str]:
    """Return what kubectl is to change of a node's labels: `name=value`, or `name-` to take one away."""
    has = node["metadata"].get("labels", {})
    sets = [f"{name}={value}" for name, value in wanted.items() if has.get(name) != value]
    return sets + [f"{name}-" for name in (PLUGIN, MIG) if name in has and name not in wanted]


def update_config(config: dict[str, Any], check: bool) -> bool:
    """Bring the entries of a ConfigMap that is there up to date; whether that was needed."""
    where = ("--namespace", config["namespace"], "configmap", config["name"])
    found = kubectl("get", *where, "--ignore-not-found", "-o", "json")
    if not found.strip() or config["data"].items() <= json.loads(found).get("data", {}).items():
        return False
    if not check:
        kubectl("patch", *where, "--type", "merge", "--patch", json.dumps({"data": config["data"]}))
    return True


def empty(node: dict[str, Any]) -> None:
    """Let the pods that have GPUs of a node leave it, and no new ones come."""
    name = node["metadata"]["name"]
    if not node["spec"].get("unschedulable"):
        kubectl("annotate", "node", name, f"{CORDONED}=true", "--overwrite")
        kubectl("cordon", name)
    listed = kubectl("get", "pods", "-A", "--field-selector", f"spec.nodeName={name}", "-o", "json")
    for pod in json.loads(listed)["items"]:
        if has_gpu(pod) and not has_daemon(pod):
            meta = pod["metadata"]
            kubectl(
                "--namespace", meta["namespace"], "delete", "pod", meta["name"], "--timeout=700s", timeout=760
            )


def has_gpu(pod: dict[str, Any]) -> bool:
    """Whether a container of the pod was given something of NVIDIA's."""
    limits = [c.get("resources", {}).get("limits", {}) for c in pod["spec"]["containers"]]
    return any(name.startswith(OF_NVIDIA) for limit in limits for name in limit)


def has_daemon(pod: dict[str, Any]) -> bool:
    """Whether a DaemonSet would start it again at once."""
    return any(owner["kind"] == "DaemonSet" for owner in pod["metadata"].get("ownerReferences", ()))


def wait_for_offer(wanted: dict[str, Any], deadline: float) -> None:
    """Wait until a node offers what is wanted of it.

    Raises:
        HostProblem: it does not in time.
    """
    name, retried = wanted["name"], time.monotonic()
    resources = {resource: int(number) for resource, number in wanted["resources"].items()}
    while (seen := offered(node := node_of(name))) != resources:
        state = node["metadata"].get("labels", {}).get(MIG_STATE, "")
        if time.monotonic() > deadline:
            mig = f"; the MIG manager says {state}" if state else ""
            raise HostProblem(f"{name} offers {listed(seen)}, expected {listed(resources)}{mig}")
        if state == "failed" and time.monotonic() - retried > RETRY_SECONDS:
            retried = time.monotonic()
            kubectl("label", "node", name, f"{MIG}-")
            kubectl("label", "node", name, f"{MIG}={wanted['labels'][MIG]}")
        time.sleep(PAUSE_SECONDS)


def listed(resources: dict[str, int]) -> str:
    """Return resources as people say them."""
    return ", ".join(f"{number} {name}" for name, number in sorted(resources.items())) or "no GPU"


def stays_ready(name: str, renewals: int, deadline: float) -> None:
    """Watch a node until it was Ready without a break over so many signs of life of its kubelet.

    Raises:
        HostProblem: it was not in time.
    """
    since, renewed = "", set[str]()
    while len(renewed) <= renewals:
        conditions = {c["type"]: c for c in node_of(name)["status"].get("conditions", ())}
        ready = conditions.get("Ready", {})
        if ready.get("status") != "True" or ready["lastTransitionTime"] != since:
            since, renewed = ready.get("lastTransitionTime", ""), set()
        if ready.get("status") == "True":
            lease = (
                "--namespace",
                "kube-node-lease",
                "get",
                "lease",
                name,
                "-o",
                "jsonpath={.spec.renewTime}",
            )
            renewed.add(kubectl(*lease))
        if time.monotonic() > deadline:
            raise HostProblem(f"{name} does not stay Ready: {ready.get('message', 'it says nothing')}")
        time.sleep(PAUSE_SECONDS)


def share(wanted: dict[str, Any], deadline: float, renewals: int, check: bool) -> bool:
    """Make one node offer its GPUs as wanted; whether its labels had to be changed."""
    node, name = node_of(wanted["name"]), wanted["name"]
    labels, plugin_runs = to_label(node, wanted["labels"]), bool(offered(node))
    if check:
        return bool(labels)
    before = node["metadata"].get("labels", {}).get(MIG, NO_MIG)
    if plugin_runs and wanted["labels"].get(MIG, NO_MIG) != before:
        empty(node)
    if labels:
        kubectl("label", "node", name, "--overwrite", *labels)
    if plugin_runs:
        wait_for_offer(wanted, deadline)
    if CORDONED in node_of(name)["metadata"].get("annotations", {}):
        kubectl("uncordon", name)
        kubectl("annotate", "node", name, f"{CORDONED}-")
    stays_ready(name, renewals, deadline)
    return bool(labels)


def main() -> None:
    """Run as an Ansible module."""
    text, each = {"type": "str", "required": True}, {"type": "dict", "required": True}
    node = {"name": text, "labels": each, "resources": each, "says": text}
    config = {"name": text, "namespace": text, "data": each}
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "dict", "default": [], "options": node},
            "configs": {"type": "list", "elements": "dict", "default": [], "options": config},
            "seconds": {"type": "int", "default": 900},
            "renewals": {"type": "int", "default": 6},
        },
        supports_check_mode=True,
    )
    p, check = module.params, module.check_mode
    deadline = time.monotonic() + p["seconds"]
    try:
        updated = [config["name"] for config in p["configs"] if update_config(config, check)]
        changed = [n for n in p["nodes"] if share(n, deadline, p["renewals"], check)]
    except HostProblem as error:
        module.fail_json(msg=str(error))
    notes = [f"{n['name']}: {n['says']}" for n in changed]
    module.exit_json(changed=bool(changed or updated), notes=notes)


if __name__ == "__main__":
    main()
