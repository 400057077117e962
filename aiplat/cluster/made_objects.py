"""What became of the objects that Helm's releases made in a cluster; recording them is the role's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from aiplat.cluster.raw import Document, RawObjects

# As roles/aiplat_modules/module_utils/aiplat_objects.py has them, which records the digests.
KINDS = (
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Service",
    "ConfigMap",
    "ServiceAccount",
    "NetworkPolicy",
    "Role",
    "RoleBinding",
    "PodDisruptionBudget",
)
WANTED = ("spec", "data", "binaryData", "rules", "roleRef", "subjects")
_OF_HELM = "app.kubernetes.io/managed-by=Helm"


def object_drift(objects: RawObjects, recorded: Mapping[str, str]) -> list[str]:
    """Return which recorded objects are gone or were changed, as sentences.

    `recorded` is `kind/namespace/name` → the digest of what is wanted of it.

    Raises:
        Refused, NoAnswer: the cluster does not say.
    """
    asked = {key.partition("/")[0] for key in recorded}
    kinds = [kind for kind in KINDS if kind.lower() in asked]
    with ThreadPoolExecutor(max_workers=len(KINDS)) as pool:
        lists = pool.map(lambda kind: objects.listed(kind, selector=_OF_HELM), kinds)
        seen = {
            _key(kind, one): _digest(one) for kind, found in zip(kinds, lists, strict=True) for one in found
        }
    return [_sentence(key, key in seen) for key, digest in recorded.items() if seen.get(key) != digest]


def _key(kind: str, one: Document) -> str:
    return f"{kind.lower()}/{one['metadata'].get('namespace', '')}/{one['metadata']['name']}"


def _digest(one: Document) -> str:
    wanted = {part: one[part] for part in WANTED if part in one}
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()


def _sentence(key: str, is_there: bool) -> str:
    kind, namespace, name = key.split("/")
    return f"{kind} {name} in {namespace} {'was changed' if is_there else 'is gone'}"
