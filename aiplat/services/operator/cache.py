"""Where a Model's engine keeps what it compiles, so that its next pod starts faster; computes nothing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from aiplat.services.operator.capacity import NVIDIA, Asked, Machine

# What the GPU operator's feature discovery calls the card of a node.
_PRODUCT = f"{NVIDIA}gpu.product"
_LONGEST = 63


def cache_name(engine: str, image: str, weights: str, asked: Asked, able: Sequence[Machine]) -> str:
    """Return the name of the claim for what is compiled for these weights, empty where there is none.

    It lies on one node. So there is one only where a single node can run the Model anyway: elsewhere it would
    keep the Model from moving when its node goes away. Other engines, weights or cards have another.
    """
    kinds = [name for name in asked if name.startswith(NVIDIA)]
    if not kinds or len(able) != 1:
        return ""
    card = able[0].labels.get(_PRODUCT, "gpu")
    key = hashlib.sha256("\n".join((engine, image, weights, card, *kinds)).encode()).hexdigest()[:10]
    word = re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-")
    return f"compiled-{engine}-{word}"[: _LONGEST - len(key) - 1].rstrip("-") + f"-{key}"


def claim(meta: Mapping[str, object], name: str, size: str) -> dict[str, object]:
    """Return the claim as an object of Kubernetes."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {**meta, "name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
    }
