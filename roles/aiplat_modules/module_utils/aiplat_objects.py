"""What Helm's releases made in the cluster and what became of it since; deploying is helm_releases'."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ansible.module_utils.aiplat_host import kubectl

KINDS = (
    "deployments,statefulsets,daemonsets,services,configmaps,serviceaccounts,networkpolicies,"
    "roles,rolebindings,poddisruptionbudgets"
)
RELEASE, RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
MODEL = "aiplat.dev/model"
# On a node that aiplat closed for a reboot and opens again.
FOR_REBOOT = "aiplat.dev/closed-for-reboot"
# What is wanted of an object, whatever its kind; what controllers say of it stands elsewhere.
WANTED = ("spec", "data", "binaryData", "rules", "roleRef", "subjects")


def seen_objects(of: set[tuple[str, str]] | None = None) -> dict[str, dict[str, Any]]:
    """Return `kind/namespace/name` of every object that Helm made → its release and what is wanted, digested.

    `of` is namespace and name of the releases that count: a cluster may have others, which are not ours.
    Engines of models, which a release made once, are left out: they are the operator's.
    """
    listed = kubectl("get", KINDS, "-A", "-l", "app.kubernetes.io/managed-by=Helm", "-o", "json")
    items = [item for item in json.loads(listed)["items"] if release_of(item)]
    items = [item for item in items if of is None or (namespace_of(item), release_of(item)) in of]
    return {
        f"{item['kind'].lower()}/{item['metadata']['namespace']}/{item['metadata']['name']}": {
            "release": release_of(item),
            "digest": digest_of(item),
        }
        for item in items
        if MODEL not in item["metadata"].get("labels", {})
    }


def release_of(item: dict[str, Any]) -> str:
    """Return the release that made an object, or nothing."""
    return str(item["metadata"].get("annotations", {}).get(RELEASE, ""))


def namespace_of(item: dict[str, Any]) -> str:
    """Return the namespace of the release that made an object, or nothing."""
    return str(item["metadata"].get("annotations", {}).get(RELEASE_NAMESPACE, ""))


def digest_of(item: dict[str, Any]) -> str:
    """Return a digest of what is wanted of an object: changed and changed back is not a change."""
    wanted = {part: item[part] for part in WANTED if part in item}
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()


def drifted_releases(recorded: dict[str, dict[str, Any]], seen: dict[str, dict[str, Any]]) -> set[str]:
    """Return the releases of which an object is gone or was changed since it was recorded."""
    return {known["release"] for key, known in recorded.items() if seen.get(key) != known}
