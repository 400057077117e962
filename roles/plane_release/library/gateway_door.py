#!/usr/bin/python
"""Ansible module: the Service by which others than pods reach the gateway, in somebody else's cluster."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, kubectl
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: gateway_door
short_description: The gateway is offered outside of the cluster as wanted
description:
  - It is a Service beside the one for pods, and no part of the release.
  - Helm would wait with the whole release for the address of a load balancer, which may never come.
  - With C(ClusterIP) there is no such Service.
options:
  type: {description: "Type of the Service.", choices: [ClusterIP, LoadBalancer, NodePort], required: true}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The gateway is reached by the cluster's load balancer
  gateway_door: {type: LoadBalancer}
"""
RETURN = r"""
notes: {description: "What was done.", type: list, returned: always}
"""

NAMESPACE, NAME = "aiplat-access", "gateway-outside"
KINDS = ("ClusterIP", "LoadBalancer", "NodePort")


def wanted(kind: str) -> dict[str, Any]:
    """Return the Service as Kubernetes takes it."""
    labels = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/managed-by": "aiplat"}
    selector = {"app.kubernetes.io/name": "gateway", "app.kubernetes.io/instance": "gateway"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "type": kind,
            "ipFamilyPolicy": "PreferDualStack",
            "selector": selector,
            "ports": [{"name": "https", "port": 443, "targetPort": "https"}],
        },
    }


def ensure(kind: str, check: bool) -> list[str]:
    """Bring the Service to what is wanted and return what was done."""
    text = kubectl("get", "service", NAME, "--namespace", NAMESPACE, "--ignore-not-found", "-o", "json")
    there = json.loads(text)["spec"]["type"] if text.strip() else "ClusterIP"
    if there == kind:
        return []
    if not check and kind == "ClusterIP":
        kubectl("delete", "service", NAME, "--namespace", NAMESPACE, "--ignore-not-found")
    elif not check:
        document = json.dumps(wanted(kind))
        options = ("--server-side", "--force-conflicts", "--field-manager=aiplat", "-f", "-")
        kubectl("apply", *options, stdin=document)
    return [f"the gateway's Service for outside is {'gone' if kind == 'ClusterIP' else kind}"]


def main() -> None:
    """Run as an Ansible module."""
    kind = {"type": "str", "choices": list(KINDS), "required": True}
    module = AnsibleModule(argument_spec={"type": kind}, supports_check_mode=True)
    try:
        notes = ensure(module.params["type"], module.check_mode)
    except HostProblem as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(notes), notes=notes)


if __name__ == "__main__":
    main()
