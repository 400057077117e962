"""What became of objects that releases made: gone, changed, or changed back."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from aiplat.cluster import made_objects
from aiplat.cluster.made_objects import object_drift
from aiplat.cluster.raw import RawObjects
from tests.cluster.kube import Kube, deployment, service
from tests.roles.conftest import load_module

MANAGED = {"app.kubernetes.io/managed-by": "Helm"}


@pytest.fixture
def objects(kube: Kube, tmp_path: Path) -> RawObjects:
    """A cluster in which a release made a Service and a Deployment."""
    kube.write_kubeconfig(tmp_path / "kubeconfig")
    kube.lists["services"] = [service("gateway", "access", MANAGED, 443)]
    kube.lists["deployments"] = [deployment("gateway", "access", MANAGED)]
    return RawObjects.of_kubeconfig(tmp_path / "kubeconfig", "tests")


@pytest.fixture
def role() -> ModuleType:
    """The module that records what releases made."""
    load_module("plane_release/library/release_objects.py")
    import ansible.module_utils.aiplat_objects as recorder  # noqa: PLC0415

    return recorder


def recorded(role: ModuleType, kube: Kube) -> dict[str, str]:
    """What the role records of the objects that are there."""
    named = [("service", one) for one in kube.lists["services"]]
    named += [("deployment", one) for one in kube.lists["deployments"]]
    return {f"{kind}/access/{one['metadata']['name']}": role.digest_of(one) for kind, one in named}


def test_objects_as_they_were_made_are_no_drift(kube: Kube, objects: RawObjects, role: ModuleType) -> None:
    """The role records what is seen here, by the same digests; notes of controllers do not count."""
    known = recorded(role, kube)
    kube.lists["deployments"][0]["status"] = {"availableReplicas": 9}
    assert object_drift(objects, known) == []


def test_what_somebody_deleted_or_changed_is_named(kube: Kube, objects: RawObjects, role: ModuleType) -> None:
    """One sentence an object."""
    known = recorded(role, kube)
    kube.lists["services"] = []
    kube.lists["deployments"][0]["spec"]["replicas"] = 0
    assert object_drift(objects, known) == [
        "service gateway in access is gone",
        "deployment gateway in access was changed",
    ]


def test_only_kinds_that_are_recorded_are_asked_for(kube: Kube, objects: RawObjects) -> None:
    """A ledger without objects asks nothing."""
    assert object_drift(objects, {}) == []
    assert kube.asked == []


def test_the_kinds_are_those_that_the_role_records(role: ModuleType) -> None:
    """Another list here would call objects gone that are there."""
    plurals = {f"{kind.lower()}s".replace("ys", "ies") for kind in made_objects.KINDS}
    assert set(role.KINDS.split(",")) == plurals
    assert role.WANTED == made_objects.WANTED
