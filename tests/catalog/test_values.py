"""The size of a component, by the site or by its own setting, and what the site writes over it."""

from __future__ import annotations

from typing import Any

from aiplat.catalog.catalog import load_catalog
from aiplat.catalog.components import Component
from aiplat.catalog.resolve import undeliverable
from aiplat.catalog.values import values_of
from aiplat.site.models import Site
from tests.plan.worlds import site_of


def postgresql(**more: Any) -> tuple[Site, Component]:
    """Return a site that says this of PostgreSQL, with a profile of its own where one is given, and that."""
    profile = more.pop("site", "small")
    component = load_catalog().component("postgresql")
    assert component
    return site_of({"profile": profile, "planes": {"data": {"postgresql": more}}}), component


def test_small_is_what_the_chart_says_by_itself() -> None:
    """A site that names no profile changes nothing."""
    assert values_of(*postgresql()) == {}


def test_a_profile_of_the_site_is_that_of_its_components() -> None:
    """Other values than small, whole maps."""
    medium = values_of(*postgresql(site="medium"))
    assert medium["settings"]["shared_buffers"] == "1GB"
    assert medium["resources"]["limits"]["memory"] == "4Gi"


def test_a_components_own_profile_stands_above_the_sites() -> None:
    """Either way round."""
    assert values_of(*postgresql(site="medium", profile="small")) == {}
    assert values_of(*postgresql(profile="medium")) == values_of(*postgresql(site="medium"))


def test_what_a_site_writes_itself_stands_above_its_profile() -> None:
    """Key by key; the rest of the profile stays."""
    values = values_of(*postgresql(profile="medium", values={"settings": {"max_connections": 300}}))
    assert values["settings"] == {"shared_buffers": "1GB", "max_connections": 300}
    assert "resources" in values


def test_a_component_that_has_one_size_refuses_a_profile_of_its_own() -> None:
    """A site's profile passes such components by."""
    site = site_of({"profile": "medium", "planes": {"resource": {"k3s": {"profile": "medium"}}}})
    assert [str(f) for f in undeliverable(site) if "profile" in f.where] == [
        "planes.resource.k3s.profile: k3s has one size; leave it out"
    ]
    assert not [f for f in undeliverable(site_of({"profile": "medium"})) if "profile" in f.where]
