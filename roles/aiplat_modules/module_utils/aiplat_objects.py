"""What Helm's releases made in the cluster and what became of it since; deploying is helm_releases'."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.aiplat_host import kubectl

KINDS = (
    "deployments,statefulsets,daemonsets,services,configmaps,serviceaccounts,networkpolicies,"
    "roles,rolebindings,poddisruptionbudgets"
)
COLUMNS = (
    r"K:.kind,NS:.metadata.namespace,N:.metadata.name,G:.metadata.generation,"
    r"R:.metadata.annotations.meta\.helm\.sh/release-name,M:.metadata.labels.aiplat\.dev/model"
)
NONE = "<none>"


def seen_objects() -> dict[str, dict[str, Any]]:
    """Return `kind/namespace/name` of every object that Helm made → its release and its generation.

    The API raises an object's generation when what is wanted of it changes; kinds without one have 0.
    Engines of models are left out where the operator, which changes them, is a release too.
    """
    table = kubectl(
        *("get", KINDS, "-A", "-l", "app.kubernetes.io/managed-by=Helm"),
        *("--no-headers", "--ignore-not-found", "-o", f"custom-columns={COLUMNS}"),
    )
    rows = [fields for line in table.splitlines() if len(fields := line.split()) == 6]
    operated = any(fields[4] == "operator" for fields in rows)
    return {
        f"{kind.lower()}/{namespace}/{name}": {
            "release": release,
            "generation": int(number) if number != NONE else 0,
        }
        for kind, namespace, name, number, release, model in rows
        if release != NONE and not (operated and model != NONE)
    }


def drifted_releases(recorded: dict[str, dict[str, Any]], seen: dict[str, dict[str, Any]]) -> set[str]:
    """Return the releases of which an object is gone or was changed since it was recorded."""
    return {known["release"] for key, known in recorded.items() if seen.get(key) != known}
