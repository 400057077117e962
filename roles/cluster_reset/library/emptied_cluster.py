#!/usr/bin/python
"""Ansible module: nothing of aiplat's is in a cluster any more; what others have there stays as it is."""

from __future__ import annotations

import json
import tempfile
import time
from typing import Any

from ansible.module_utils.aiplat_host import HELM, KUBE_CACHE, KUBECONFIG, HostProblem, kubectl, run
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: emptied_cluster
short_description: Nothing of aiplat's is in a cluster
description:
  - Uninstalls the releases with the label C(aiplat.dev/inputs), the operator's first.
  - Then the definitions that releases of ours left go, the namespaces of planes and teams, and their volumes.
  - A volume that its class keeps is named and stays, and so does a namespace that was given to a team.
options:
  seconds: {description: "How long namespaces and volumes may take to go.", type: int, default: 300}
author: [aiplat]
"""
EXAMPLES = r"""
- name: Nothing of aiplat's is in the cluster
  emptied_cluster:
"""
RETURN = r"""
notes: {description: "What went, and what stays.", type: list, returned: always}
"""

PAUSE_SECONDS = 1.0
OPERATOR = "operator"
OURS = "aiplat-"
RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
# The planes' namespaces, and those that the operator made for teams.
MARKS = (("app.kubernetes.io/managed-by", "aiplat"), ("aiplat.dev/managed-by", "operator"))
# What the operator makes in a team's namespace; where that was there before its Team, these go and it stays.
TEAM, OPERATORS, FIELD_MANAGER = "aiplat.dev/team", "aiplat.dev/managed-by=operator", "aiplat-operator"
TEAM_KINDS = "rolebindings,networkpolicies,limitranges,resourcequotas"
Item = dict[str, Any]


def items(*arguments: str) -> list[Item]:
    """Return the objects that kubectl lists."""
    found: list[Item] = json.loads(kubectl("get", *arguments, "-o", "json"))["items"]
    return found


def releases() -> list[tuple[str, str]]:
    """Return namespace and name of our releases: the operator's first, then the newest made first."""
    table = kubectl("get", "secrets", "-A", "-l", "owner=helm,aiplat.dev/inputs", "--no-headers", "-L=name")
    found = {(fields[0], fields[5]) for fields in (line.split() for line in table.splitlines())}
    return sorted(found, key=lambda key: (key[1] != OPERATOR, key))


def uninstall(namespace: str, name: str) -> None:
    """Uninstall a release and wait until its objects are gone."""
    with tempfile.TemporaryDirectory(prefix="helm-") as home:
        folders = dict.fromkeys(("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"), home)
        more = {**folders, **KUBE_CACHE, "KUBECONFIG": KUBECONFIG}
        run(
            [HELM, "uninstall", name, "--namespace", namespace, "--wait", "--ignore-not-found"], "", 300, more
        )


def definitions() -> list[str]:
    """Return the definitions of kinds that releases of ours made and leave behind."""
    found, others = items("customresourcedefinitions"), spaces_of_others()
    noted = {i["metadata"]["name"]: i["metadata"].get("annotations", {}) for i in found}
    of = {name: notes.get(RELEASE_NAMESPACE, "") for name, notes in noted.items()}
    return sorted(name for name, space in of.items() if space.startswith(OURS) and space not in others)


def spaces_of_others() -> set[str]:
    """Return the namespaces that are not ours, whatever they are called."""
    return {i["metadata"]["name"] for i in items("namespaces") if not is_marked(i)}


def is_marked(space: Item) -> bool:
    """Say whether a namespace is of a plane or of a team."""
    labels = (space["metadata"].get("labels") or {}).items()
    return any(mark in labels for mark in MARKS)


def is_adopted(space: Item) -> bool:
    """Say whether somebody gave a namespace of theirs to a Team: others than the operator set its label."""
    return any(
        f"f:{TEAM}" in entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:labels", {})
        for entry in space["metadata"].get("managedFields", ())
        if entry.get("manager") != FIELD_MANAGER
    )


def marked() -> list[Item]:
    """Return the namespaces of planes and of teams."""
    return [space for space in items("namespaces", "--show-managed-fields") if is_marked(space)]


def namespaces() -> list[str]:
    """Return the namespaces that aiplat made: of planes, and of teams."""
    return sorted(space["metadata"]["name"] for space in marked() if not is_adopted(space))


def let_go(check: bool) -> list[str]:
    """Take what the operator put into namespaces of others, and its marks; name those, which stay."""
    names = sorted(space["metadata"]["name"] for space in marked() if is_adopted(space))
    for name in names if not check else ():
        kubectl("delete", TEAM_KINDS, "--namespace", name, "--selector", OPERATORS)
        kubectl("label", "namespace", name, f"{TEAM}-", "aiplat.dev/managed-by-")
    return [f"namespace {name} stays: it was there before its Team" for name in names]


def volumes(spaces: list[str]) -> dict[str, str]:
    """Return the volumes that claims of these namespaces have, each with what its class does with it."""
    return {
        item["metadata"]["name"]: item["spec"].get("persistentVolumeReclaimPolicy", "")
        for item in items("persistentvolumes")
        if (item["spec"].get("claimRef") or {}).get("namespace") in spaces
    }


def empty(seconds: float, check: bool) -> list[str]:
    """Take everything of ours out; return what went, and what stays.

    Raises:
        HostProblem: something does not go in time.
    """
    spaces, notes = namespaces(), []
    for namespace, name in releases():
        notes.append(f"release {name} is gone")
        if not check:
            uninstall(namespace, name)
    notes += let_go(check)
    for kind, names in (("customresourcedefinition", definitions()), ("namespace", spaces)):
        notes += [f"{kind} {name} is gone" for name in names]
        if names and not check:
            kubectl("delete", kind, *names, "--ignore-not-found", "--wait=false")
    if not check:
        wait_until_gone(spaces, seconds)
    return notes + [f"volume {name} stays: its class keeps it" for name in kept(spaces)]


def kept(spaces: list[str]) -> list[str]:
    """Return the volumes of these namespaces that their class keeps."""
    return sorted(name for name, policy in volumes(spaces).items() if policy == "Retain")


def wait_until_gone(spaces: list[str], seconds: float) -> None:
    """Wait until definitions, namespaces and the volumes that go with them are gone."""
    deadline = time.monotonic() + seconds
    while left := remaining(spaces):
        if time.monotonic() > deadline:
            raise HostProblem(f"after {seconds:.0f} s there are still {', '.join(left)}")
        time.sleep(PAUSE_SECONDS)


def remaining(spaces: list[str]) -> list[str]:
    """Return what is still there of what goes, as kubectl names it."""
    leaving = [name for name, policy in volumes(spaces).items() if policy != "Retain"]
    return [
        *(f"customresourcedefinition/{name}" for name in definitions()),
        *(f"namespace/{name}" for name in namespaces() if name in spaces),
        *(f"persistentvolume/{name}" for name in leaving),
    ]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={"seconds": {"type": "int", "default": 300}}, supports_check_mode=True
    )
    try:
        notes = empty(module.params["seconds"], module.check_mode)
    except HostProblem as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(notes), notes=notes)


if __name__ == "__main__":
    main()
