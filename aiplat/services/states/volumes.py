"""Series of volumes and of the claims for them."""

from __future__ import annotations

from collections.abc import Iterator

from aiplat.cluster.quantity import amount
from aiplat.services.states.series import Document, Sample, one_of

_VOLUME = ("Pending", "Available", "Bound", "Released", "Failed")
_CLAIM = ("Pending", "Bound", "Lost")


def volume(document: Document) -> Iterator[Sample]:
    """Yield what there is to say of a volume."""
    one = {"persistentvolume": document["metadata"]["name"]}
    phase = document.get("status", {}).get("phase", "")
    yield from one_of("kube_persistentvolume_status_phase", one, "phase", _VOLUME, phase)
    size = document["spec"].get("capacity", {}).get("storage", "0")
    yield Sample("kube_persistentvolume_capacity_bytes", one, float(amount(size)))


def claim(document: Document) -> Iterator[Sample]:
    """Yield what there is to say of a claim."""
    meta, spec = document["metadata"], document["spec"]
    one = {"namespace": meta["namespace"], "persistentvolumeclaim": meta["name"]}
    said = {
        "storageclass": spec.get("storageClassName", ""),
        "volumename": spec.get("volumeName", ""),
        "volumemode": spec.get("volumeMode", ""),
    }
    yield Sample("kube_persistentvolumeclaim_info", {**one, **said}, 1)
    phase = document.get("status", {}).get("phase", "")
    yield from one_of("kube_persistentvolumeclaim_status_phase", one, "phase", _CLAIM, phase)
    asked = spec.get("resources", {}).get("requests", {}).get("storage")
    if asked is not None:
        name = "kube_persistentvolumeclaim_resource_requests_storage_bytes"
        yield Sample(name, one, float(amount(asked)))
