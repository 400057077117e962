#!/usr/bin/python
"""Ansible module: namespaces and Secrets are in the cluster as wanted; Secrets go over stdin."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from typing import Any

from ansible.module_utils.aiplat_host import HostProblem, kubectl
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: cluster_objects
short_description: Namespaces and Secrets as wanted
description:
  - Secrets that aiplat made and that are no longer wanted are removed.
  - Namespaces are never removed, for they hold data.
options:
  namespaces: {description: "Namespaces, each with name and labels.", type: list, elements: dict}
  secrets: {description: "Secrets with name, namespace, string_data.", type: list, elements: dict}
author: [aiplat]
"""
EXAMPLES = r"""
- name: The namespaces exist
  cluster_objects: {namespaces: [{name: aiplat-model, labels: {aiplat.dev/plane: model}}]}
"""
RETURN = r"""
notes: {description: "Kind and name of what was changed.", type: list, returned: always}
"""

OURS = "aiplat-"
OWNER = {"app.kubernetes.io/managed-by": "aiplat"}


def listed(kind: str, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects of a kind by namespace and name."""
    items = json.loads(kubectl("get", kind, "-o", "json", *arguments))["items"]
    return {(i["metadata"].get("namespace", ""), i["metadata"]["name"]): i for i in items}


def namespace(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return a namespace as Kubernetes takes it."""
    metadata = {"name": wanted["name"], "labels": {**wanted["labels"], **OWNER}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def secret(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return a Secret as Kubernetes keeps it."""
    data = {key: base64.b64encode(text.encode()).decode() for key, text in wanted["string_data"].items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": wanted["name"],
            "namespace": wanted["namespace"],
            "labels": {**wanted["labels"], **OWNER},
        },
        "type": wanted["type"],
        "data": data,
    }


def key_of(document: dict[str, Any]) -> tuple[str, str]:
    """Return namespace and name of an object."""
    return document["metadata"].get("namespace", ""), document["metadata"]["name"]


def differs(wanted: dict[str, Any], seen: dict[str, Any] | None) -> bool:
    """Say whether an object is not there as wanted; labels that others added do not count."""
    if seen is None:
        return True
    labels = seen["metadata"].get("labels") or {}
    same_labels = all(labels.get(name) == value for name, value in wanted["metadata"]["labels"].items())
    return not same_labels or any(wanted.get(part) != seen.get(part) for part in ("data", "type"))


def apply(
    wanted: list[dict[str, Any]], seen: dict[tuple[str, str], dict[str, Any]], check: bool
) -> list[str]:
    """Bring objects to what is wanted and name those that had to be changed."""
    changed = [document for document in wanted if differs(document, seen.get(key_of(document)))]
    for document in changed:
        before = seen.get(key_of(document))
        # The type of a Secret cannot be changed.
        if before and not check and before.get("type") != document.get("type"):
            kubectl("delete", "secret", "--namespace", key_of(document)[0], key_of(document)[1])
    if changed and not check:
        bundle = json.dumps({"apiVersion": "v1", "kind": "List", "items": changed})
        kubectl(
            "apply", "--server-side", "--force-conflicts", "--field-manager=aiplat", "-f", "-", stdin=bundle
        )
    return [f"{document['kind']} {'/'.join(filter(None, key_of(document)))}" for document in changed]


def hurry(changed: list[str]) -> None:
    """Have pods see the Secrets that were changed now, and not when their kubelet looks the next time.

    A pod is looked at again when an annotation of it changes; otherwise within a minute and a half.
    """
    secrets = {tuple(name.partition(" ")[2].split("/")) for name in changed if name.startswith("Secret ")}
    for space in sorted({key[0] for key in secrets if len(key) == 2}):
        names = {key[1] for key in secrets if key[0] == space}
        pods = json.loads(kubectl("get", "pods", "--namespace", space, "-o", "json"))["items"]
        for pod in pods:
            mounted = {v["secret"]["secretName"] for v in pod["spec"].get("volumes", ()) if "secret" in v}
            if mounted & names:
                now = f"aiplat.dev/secrets-changed={int(time.time())}"
                # One that left meanwhile is followed by one that sees the new Secret anyway.
                with contextlib.suppress(HostProblem):
                    kubectl(
                        "annotate", "pod", "--overwrite", "--namespace", space, pod["metadata"]["name"], now
                    )


def remove_others(
    wanted: list[dict[str, Any]], seen: dict[tuple[str, str], dict[str, Any]], check: bool
) -> list[str]:
    """Remove the Secrets of ours that are no longer wanted; a copy in another's namespace is not ours."""
    keep = {key_of(document) for document in wanted}
    owner = next(iter(OWNER.items()))
    gone = [
        key
        for key, item in seen.items()
        if owner in (item["metadata"].get("labels") or {}).items()
        and key not in keep
        and key[0].startswith(OURS)
    ]
    for space, name in gone:
        if not check:
            kubectl("delete", "secret", "--namespace", space, name, "--ignore-not-found")
    return [f"Secret {space}/{name} removed" for space, name in gone]


def ensure(parameters: dict[str, Any], check: bool) -> list[str]:
    """Bring namespaces and Secrets to what is wanted and name what was changed."""
    changed: list[str] = []
    if parameters["namespaces"] is not None:
        wanted = [namespace(entry) for entry in parameters["namespaces"]]
        changed += apply(wanted, listed("namespaces"), check)
    if parameters["secrets"] is not None:
        secrets = [secret(entry) for entry in parameters["secrets"]]
        seen = listed("secrets", "--all-namespaces", "--field-selector", "type!=helm.sh/release.v1")
        written = apply(secrets, seen, check)
        if not check:
            hurry(written)
        changed += written + remove_others(secrets, seen, check)
    return changed


def main() -> None:
    """Run as an Ansible module."""
    text = {"type": "str", "required": True}
    texts = {"type": "dict", "default": {}}
    secret_options = {
        "name": text,
        "namespace": text,
        "type": {"type": "str", "default": "Opaque"},
        "labels": texts,
    }
    module = AnsibleModule(
        argument_spec={
            "namespaces": {"type": "list", "elements": "dict", "options": {"name": text, "labels": texts}},
            "secrets": {
                "type": "list",
                "elements": "dict",
                "no_log": True,
                "options": {
                    **secret_options,
                    "string_data": {"type": "dict", "required": True, "no_log": True},
                },
            },
        },
        supports_check_mode=True,
    )
    try:
        changed = ensure(module.params, module.check_mode)
    except HostProblem as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changed), notes=changed)


if __name__ == "__main__":
    main()
