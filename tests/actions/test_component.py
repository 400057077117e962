"""A new component begins as a folder that is complete: it installs, and tests of folders pass."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aiplat.actions.component import new_component
from aiplat.catalog.catalog import read_catalog
from aiplat.catalog.resolve import resolve, undeliverable
from aiplat.errors import BadInput
from aiplat.plan.releases import releases_of
from aiplat.shipped import shipped
from aiplat.site.models import Site
from tests.charts.conftest import Helm, documents, helm
from tests.house import test_folders

__all__ = ["helm"]
SITE = Site.model_validate(
    {
        "apiVersion": "aiplat.dev/v1alpha1",
        "kind": "Site",
        "name": "ward-3",
        "hosts": [{"name": "s1", "address": "10.0.0.11", "role": "server"}],
        "planes": {"data": {"feature-store": {"state": "on"}}},
    }
)


@pytest.fixture
def charts(tmp_path: Path) -> Path:
    """A copy of the shipped charts with a new component."""
    copied = Path(shutil.copytree(shipped("charts"), tmp_path / "charts"))
    assert new_component("data", "feature-store", copied) == copied / "data" / "feature-store"
    return copied


def test_its_folder_passes_the_tests_of_folders(charts: Path) -> None:
    """README, purpose, licence, a whole chart, and everything that its recipes name."""
    component = read_catalog(charts).component("feature-store")
    assert component is not None
    test_folders.test_a_component_explains_itself(component)
    test_folders.test_a_release_has_a_complete_chart(component)
    test_folders.test_what_recipes_name_is_there(component)
    assert not [
        p for p in (charts / "data/feature-store").rglob("*") if p.is_file() and "@NAME@" in p.read_text()
    ]


def test_a_site_can_turn_it_on_and_helm_renders_it(charts: Path, helm: Helm) -> None:
    """Its values are what its own schema allows, and its pod is a workload of its name."""
    catalog = read_catalog(charts)
    assert undeliverable(SITE, catalog) == []
    lock = resolve(SITE, catalog)
    image = lock.artifact("image", "ghcr.io/aiplat/feature-store").model_copy(
        update={"digest": "sha256:" + "0" * 64}
    )
    lock = lock.model_copy(
        update={"artifacts": tuple(image if a.name == image.name else a for a in lock.artifacts)}
    )
    release = next(r for r in releases_of(SITE, lock, catalog, {}) if r.name == "feature-store")
    chart = charts / "data" / "feature-store" / "chart"
    shutil.copytree(charts / "_lib", chart / "charts" / "lib")
    (chart.parent / "values.yaml").write_text(release.values)
    done = helm(
        "template", "feature-store", chart, "-n", release.namespace, "-f", chart.parent / "values.yaml"
    )
    assert done.returncode == 0, done.stderr
    kinds = {(d["kind"], d["metadata"]["name"]) for d in documents(done.stdout)}
    assert kinds == {("Deployment", "feature-store"), ("NetworkPolicy", "feature-store")}


@pytest.mark.parametrize(
    ("plane", "name", "said"),
    [
        ("dta", "thing", 'dta: is not a plane; did you mean "data"?'),
        ("data", "Thing", "Thing: is not a component's name; use lower-case letters, digits and dashes"),
        (
            "data",
            "../thing",
            "../thing: is not a component's name; use lower-case letters, digits and dashes",
        ),
        ("data", "gateway", "gateway: is a component already; choose another name"),
        ("data", "feature-store", "feature-store: is a component already; choose another name"),
    ],
)
def test_what_cannot_be_one_is_refused_and_writes_nothing(
    charts: Path, plane: str, name: str, said: str
) -> None:
    """An unknown plane, a name that Kubernetes would not take, one that is taken."""
    before = sorted(charts.rglob("*"))
    with pytest.raises(BadInput) as caught:
        new_component(plane, name, charts)
    assert str(caught.value.findings[0]) == said
    assert sorted(charts.rglob("*")) == before
