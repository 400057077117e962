#!/usr/bin/python
"""Ansible module: Helm releases are deployed from staged charts, side by side, recovered and rolled back."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.aiplat_host import (
    BLOBS,
    HELM,
    KUBE_CACHE,
    KUBECONFIG,
    SCRATCH,
    HostProblem,
    blob,
    kubectl,
    read_ledger,
    run,
    sha256_of,
)
from ansible.module_utils.aiplat_objects import drifted_releases, seen_objects
from ansible.module_utils.aiplat_pods import pod_troubles
from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: helm_releases
short_description: Helm releases as wanted
description:
  - A release whose label C(aiplat.dev/inputs) is the wanted one and whose status is deployed is not touched.
  - It is deployed again all the same where the ledger knows an object of it that is gone or was changed.
  - A revision that a killed run left pending is forgotten; what it made is taken over by the next revision.
  - A failed upgrade is rolled back to the revision deployed before.
  - A failed first install is left to look at.
  - The values of a release that refers to secrets come from the run's own folder; no message repeats them.
options:
  releases:
    description:
      - "Releases with name, namespace, chart (digest), chart_ref, values, secret_names, inputs."
      - "Each may take its timeout_seconds to be ready."
    type: list
    elements: dict
    default: []
  blobs: {description: "Where staged content is.", type: path, default: /var/lib/aiplat/blobs}
  site: {description: "Name of the site, whose ledger knows what the releases made.", type: str, default: ""}
  uninstall_others: {description: "Uninstall other releases of ours.", type: bool, default: false}
  free_ports:
    description: "Only uninstall other releases of ours that hold ports of their hosts; deploy nothing."
    type: bool
    default: false
author: [aiplat]
"""
EXAMPLES = r"""
- name: The releases are deployed
  helm_releases: {releases: "{{ plane_release_releases }}"}
"""
RETURN = r"""
notes: {description: "What was done, one sentence a release.", type: list, returned: always}
"""

# Gone with the run: its lease removes the folder.
PRIVATE = Path(SCRATCH) / "values"
# Helm's own time limit comes first; this one is for a helm that hangs.
GRACE_SECONDS = 60


class Revision:
    """One revision of a release, as the labels of its Secret tell."""

    def __init__(self, fields: list[str]) -> None:
        self.namespace, self.secret, self.name = fields[0], fields[1], fields[5]
        self.number, self.status = int(fields[6]), fields[7]
        self.inputs = fields[8] if len(fields) > 8 else ""


def revisions() -> dict[tuple[str, str], list[Revision]]:
    """Return all revisions of all releases, oldest first."""
    columns = "-L=name,version,status,aiplat.dev/inputs"
    table = kubectl("get", "secrets", "-A", "-l", "owner=helm", "--no-headers", columns)
    found: dict[tuple[str, str], list[Revision]] = {}
    for revision in sorted((Revision(line.split()) for line in table.splitlines()), key=lambda r: r.number):
        found.setdefault((revision.namespace, revision.name), []).append(revision)
    return found


def helm(*arguments: str, stdin: str = "", timeout: float = 300) -> str:
    """Run helm as the cluster's admin with a home of its own, which goes with it."""
    with tempfile.TemporaryDirectory(prefix="helm-") as home:
        folders = dict.fromkeys(("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"), home)
        return run([HELM, *arguments], stdin, timeout, {**folders, **KUBE_CACHE, "KUBECONFIG": KUBECONFIG})


def is_as_wanted(release: dict[str, Any], history: list[Revision]) -> bool:
    """Say whether nothing has to be done."""
    return bool(history) and history[-1].status == "deployed" and history[-1].inputs == release["inputs"]


def forget_pending(history: list[Revision]) -> list[Revision]:
    """Remove the revisions that a killed run left pending and return the others."""
    for revision in (r for r in history if r.status.startswith("pending")):
        kubectl("delete", "secret", "--namespace", revision.namespace, revision.secret)
    return [r for r in history if not r.status.startswith("pending")]


def chart_of(release: dict[str, Any]) -> Path:
    """Return the staged chart after checking its digest."""
    path = blob(Path(release["blobs"]), release["chart"])
    if f"sha256:{sha256_of(path)}" != release["chart"]:
        raise HostProblem(f"the staged chart {release['chart_ref']} is damaged; run `aiplat bootstrap` again")
    return path


def values_of(release: dict[str, Any]) -> tuple[str, list[str]]:
    """Return a release's values, and the secrets in them that no message may repeat."""
    if not release.get("secret_names"):
        return release["values"], []
    try:
        private = json.loads((PRIVATE / f"{release['name']}.json").read_text())
    except OSError as error:
        names = ", ".join(release["secret_names"])
        raise HostProblem(f"release {release['name']}: its values with {names} are not here") from error
    return private["values"], private["secrets"]


def without(secrets: list[str], text: str) -> str:
    """Return a text in which no secret stands, nor the lines that one consists of."""
    parts = {part.strip() for secret in secrets for part in (secret, *secret.splitlines()) if part.strip()}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, "(a secret)")
    return text


def upgrade(release: dict[str, Any], history: list[Revision]) -> str:
    """Install or upgrade a release and wait for it; roll a failed upgrade back."""
    what = ["upgrade", "--install", "--history-max", "5", release["name"], str(chart_of(release))]
    label = ["--labels", f"aiplat.dev/inputs={release['inputs']}"]
    values, secrets = values_of(release)
    try:
        wait_for(release, [*what, *label, "--values", "-"], values)
    except HostProblem as error:
        causes = (f"release {release['name']}: {error}", pod_troubles(release["namespace"]))
        cause = "; ".join(filter(None, causes))
        # Without what it came from: a traceback would show it as it was.
        raise HostProblem(without(secrets, f"{cause}; {roll_back(release, history)}")) from None
    return f"{release['name']} {'upgraded' if history else 'installed'}"


def wait_for(release: dict[str, Any], arguments: list[str], stdin: str = "") -> None:
    """Run helm on a release and wait until everything in it is ready."""
    seconds = release["timeout_seconds"]
    options = ["--namespace", release["namespace"], "--timeout", f"{seconds}s", "--wait"]
    helm(*arguments, *options, stdin=stdin, timeout=seconds + GRACE_SECONDS)


def roll_back(release: dict[str, Any], history: list[Revision]) -> str:
    """Bring back the revision that was deployed before; return what came of it."""
    before = [revision.number for revision in history if revision.status == "deployed"]
    if not before:
        return "it is left as it is, to look at"
    try:
        wait_for(release, ["rollback", release["name"], str(before[-1])])
    except HostProblem as error:
        return f"rolling back to revision {before[-1]} failed too: {error}"
    return f"rolled back to revision {before[-1]}"


def drifted(site: str) -> set[str]:
    """Return the releases of which somebody deleted or changed something since the step last finished."""
    recorded = read_ledger("/", site)["steps"].get("plane_release", {}).get("objects", {})
    return drifted_releases(recorded, seen_objects()) if recorded else set()


def ensure(release: dict[str, Any], history: list[Revision], check: bool, drift: bool = False) -> str:
    """Bring one release to what is wanted; return what was done, or nothing."""
    if is_as_wanted(release, history) and not drift:
        return ""
    if check:
        return f"{release['name']} would be deployed"
    if history and history[-1].status == "uninstalling":
        helm(
            "uninstall", release["name"], "--namespace", release["namespace"], "--wait", "--ignore-not-found"
        )
        history = []
    return upgrade(release, forget_pending(history))


def uninstall_others(
    seen: dict[tuple[str, str], list[Revision]],
    releases: list[dict[str, Any]],
    check: bool,
    free_ports: bool = False,
) -> list[str]:
    """Uninstall the releases of ours that are not wanted any more, all or those that hold ports of hosts."""
    keep = {(r["namespace"], r["name"]) for r in releases}
    gone = [key for key, history in seen.items() if history[-1].inputs and key not in keep]
    if free_ports:
        gone = [key for key in gone if holds_ports(*key)]
    for namespace, name in gone:
        if not check:
            helm("uninstall", name, "--namespace", namespace, "--wait", "--ignore-not-found")
    return [f"{name} uninstalled" for _, name in gone]


def holds_ports(namespace: str, release: str) -> bool:
    """Say whether a pod of a release holds a port of its host."""
    label = f"app.kubernetes.io/instance={release}"
    pods = json.loads(kubectl("get", "pods", "--namespace", namespace, "--selector", label, "-o", "json"))
    containers = [c for pod in pods["items"] for c in pod["spec"]["containers"]]
    return any(port.get("hostPort") for c in containers for port in c.get("ports", ()))


def ensure_all(parameters: dict[str, Any], check: bool) -> list[str]:
    """Bring all releases to what is wanted, side by side; every failure is reported."""
    releases, seen = [{**r, "blobs": parameters["blobs"]} for r in parameters["releases"]], revisions()
    if parameters.get("free_ports"):
        return uninstall_others(seen, releases, check, free_ports=True)
    site = parameters.get("site")
    changed = drifted(site) if site else set()
    failures: list[str] = []

    def one(release: dict[str, Any]) -> str:
        try:
            history = seen.get((release["namespace"], release["name"]), [])
            return ensure(release, history, check, release["name"] in changed)
        except HostProblem as error:
            failures.append(str(error))
            return ""

    with ThreadPoolExecutor(max_workers=max(1, len(releases))) as pool:
        done = [sentence for sentence in pool.map(one, releases) if sentence]
    if failures:
        raise HostProblem("; ".join(failures))
    return done + (uninstall_others(seen, releases, check) if parameters["uninstall_others"] else [])


def main() -> None:
    """Run as an Ansible module."""
    text = {"type": "str", "required": True}
    options: dict[str, Any] = dict.fromkeys(
        ("name", "namespace", "chart", "chart_ref", "values", "inputs"), text
    )
    options["secret_names"] = {"type": "list", "elements": "str", "default": []}
    options |= {"order": {"type": "int"}, "timeout_seconds": {"type": "int", "default": 600}}
    module = AnsibleModule(
        argument_spec={
            "releases": {"type": "list", "elements": "dict", "default": [], "options": options},
            "blobs": {"type": "path", "default": BLOBS},
            "site": {"type": "str", "default": ""},
            "uninstall_others": {"type": "bool", "default": False},
            "free_ports": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        done = ensure_all(module.params, module.check_mode)
    except HostProblem as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(done), notes=done)


if __name__ == "__main__":
    main()
