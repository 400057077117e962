#!/usr/bin/python
"""Ansible module: waits until the operator serves the site's own models; changes nothing."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, kubectl
from ansible.module_utils.aiplat_pods import pod_troubles
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: site_models
short_description: The site's models serve
description:
  - Waits until the Model of each has its weights and its replicas.
  - A Model that the operator refuses, or that does not serve in time, is a failure in the operator's words.
options:
  models:
    description: "Models, each with slug (name of its object) and ref (of its weights)."
    type: list
    elements: dict
    default: []
  seconds: {description: "How long to wait for all of them.", type: int, default: 600}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The site's models serve
  site_models: {models: "{{ plane_release_models }}"}
"""
RETURN = r"""
notes: {description: "How each model stands, one sentence a model.", type: list, returned: always}
"""

NAMESPACE = "aiplat-model"
# Idle: somebody let its Model have no replica while nobody asks.
SERVES = {"Serving", "Idle"}
PAUSE_SECONDS = 1.0
# A refusal for want of a GPU is not the last word: device plugins start after the release that brings them.
COMES = re.compile(r" nvidia\.com/\S+, no node has one(?! \()")


def statuses() -> dict[str, dict[str, Any]]:
    """Return the status of every Model of the site by its name; nothing of one that changed since."""
    select = ("--namespace", NAMESPACE, "-l", "aiplat.dev/managed-by=site", "-o", "json")
    items = json.loads(kubectl("get", "models.aiplat.dev", *select))["items"]
    return {item["metadata"]["name"]: current(item) for item in items}


def current(item: dict[str, Any]) -> dict[str, Any]:
    """Return a Model's status, or nothing where the operator has not seen it as it is now."""
    status: dict[str, Any] = item.get("status", {})
    seen = status.get("observedGeneration", -1) >= item["metadata"].get("generation", 0)
    return status if seen else {}


def waits_for(model: dict[str, str], status: dict[str, Any]) -> str:
    """Return why a model does not serve yet, or nothing where it does.

    Raises:
        HostProblem: it never will.
    """
    if status.get("phase") == "Refused":
        if COMES.search(status["message"]):
            return str(status["message"])
        raise HostProblem(f"model {model['slug']}: {status['message']}")
    if status.get("image") != model["ref"]:
        return "the operator has not looked at it yet"
    return "" if status["phase"] in SERVES else f"{status['phase']}: {status['message']}"


def wait(models: list[dict[str, str]], seconds: float) -> list[str]:
    """Return a sentence for each model once all serve."""
    deadline = time.monotonic() + seconds
    while True:
        seen = statuses() if models else {}
        waiting = {m["slug"]: why for m in models if (why := waits_for(m, seen.get(m["slug"], {})))}
        if not waiting:
            return [f"{m['slug']}: {seen[m['slug']]['message']}" for m in models]
        if time.monotonic() > deadline:
            said = [
                f"model {slug} does not serve after {seconds:.0f} s: {why}" for slug, why in waiting.items()
            ]
            raise HostProblem("; ".join(filter(None, [*said, pod_troubles(NAMESPACE)])))
        time.sleep(PAUSE_SECONDS)


def main() -> None:
    """Run as an Ansible module."""
    text = {"type": "str", "required": True}
    model = {"type": "list", "elements": "dict", "default": [], "options": {"slug": text, "ref": text}}
    module = AnsibleModule(
        argument_spec={"models": model, "seconds": {"type": "int", "default": 600}}, supports_check_mode=True
    )
    try:
        notes = [] if module.check_mode else wait(module.params["models"], module.params["seconds"])
    except HostProblem as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, notes=notes)


if __name__ == "__main__":
    main()
