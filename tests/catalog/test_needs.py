"""What a component needs is data: who provides it is on, and what nobody provides is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aiplat.catalog.catalog import Catalog, read_catalog
from aiplat.catalog.needs import Needs
from aiplat.catalog.resolve import components_on, undeliverable
from aiplat.errors import AiplatError
from aiplat.shipped import shipped
from aiplat.site.models import Site
from aiplat.site.sign_in import CompanySignIn

THING: dict[str, Any] = {
    "apiVersion": "aiplat.dev/v1alpha1",
    "kind": "Component",
    "name": "thing",
    "plane": "data",
    "purpose": "For tests.",
    "licence": {"spdx": "Apache-2.0"},
    "default": "request",
    "namespace": "aiplat-data",
}


def site(**planes: Any) -> Site:
    """A site of one server."""
    head = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward-3"}
    host = {"name": "s1", "address": "10.0.0.11", "role": "server"}
    return Site.model_validate({**head, "hosts": [host], "planes": planes})


def catalog_with(tmp_path: Path, needs: dict[str, Any]) -> Catalog:
    """The shipped catalogue and one more component, with these needs."""
    charts = Path(shutil.copytree(shipped("charts"), tmp_path / "charts"))
    folder = charts / "data" / "thing"
    folder.mkdir()
    with (folder / "component.yaml").open("w") as file:
        YAML().dump({**THING, "needs": needs}, file)
    return read_catalog(charts)


ON = {"thing": {"state": "on"}}
OFF = {"state": "off"}


def test_who_provides_what_is_needed_is_on(tmp_path: Path) -> None:
    """A gateway key needs the gateway and the database in which keys are kept; both are defaults here."""
    catalog = catalog_with(tmp_path, {"gatewayKeys": [{"name": "chat"}]})
    said = [str(f) for f in undeliverable(site(data={**ON, "postgresql": OFF}), catalog)]
    assert said == [
        "planes.data.postgresql: postgresql is off, but thing needs it; "
        "turn postgresql on, or turn thing off too"
    ]
    assert {"thing", "gateway", "postgresql"} <= {c.name for c in components_on(site(data=ON), catalog)}


def test_a_route_brings_the_ingress_unless_it_is_optional(tmp_path: Path) -> None:
    """A page that nobody can open is of no use; one that can wait does not take the port from the gateway."""
    route = {"name": "t", "service": "t", "port": 80, "groups": ["member"], "signIn": "own"}
    catalog = catalog_with(tmp_path / "must", {"routes": [route]})
    assert "ingress" in {c.name for c in components_on(site(data=ON), catalog)}
    assert undeliverable(site(data=ON), catalog) == []
    may = catalog_with(tmp_path / "may", {"routes": [{**route, "optional": True}]})
    assert "ingress" not in {c.name for c in components_on(site(data=ON), may)}


def test_what_nobody_provides_is_refused_by_name(tmp_path: Path) -> None:
    """A site that turns such a component on is told at once, not by a pod that never starts."""
    catalog = catalog_with(tmp_path, {"buckets": [{"name": "uploads"}]})
    assert undeliverable(site(), catalog) == []
    assert [str(f) for f in undeliverable(site(data=ON), catalog)] == [
        "planes.data.thing: thing needs buckets, which nothing in this version provides; "
        "leave thing out, or write `state: off`"
    ]


def test_a_client_brings_the_sites_sign_in_unless_the_company_has_one(tmp_path: Path) -> None:
    """People have one account: at the company's provider where the site names that."""
    client = {"name": "thing", "redirectPaths": ["/back"], "hosts": "loopback"}
    catalog = catalog_with(tmp_path, {"oidcClients": [client]})
    assert "canaille" in {c.name for c in components_on(site(data=ON), catalog)}
    there = {"issuer": "https://id.test", "clientSecret": {"fromSecret": "x"}, "groups": {"admin": ["a"]}}
    company = site(data=ON).model_copy(update={"sign_in": CompanySignIn.model_validate(there)})
    assert "canaille" not in {c.name for c in components_on(company, catalog)}
    assert undeliverable(company, catalog) == []


def test_an_optional_database_needs_nobody(tmp_path: Path) -> None:
    """The gateway keeps accounts where there is PostgreSQL, and serves without."""
    catalog = catalog_with(tmp_path, {"databases": [{"name": "thing", "optional": True}]})
    assert undeliverable(site(data={**ON, "postgresql": OFF}), catalog) == []


def test_metrics_bring_prometheus_unless_they_are_optional(tmp_path: Path) -> None:
    """A component that must be watched brings who watches it; the gateway's metrics do not."""
    catalog = catalog_with(tmp_path, {"metrics": [{"port": 9090}]})
    assert "prometheus" in {c.name for c in components_on(site(data=ON), catalog)}
    assert "prometheus" not in {c.name for c in components_on(site(), catalog)}


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        ({"databases": [{"name": "postgres"}]}, "postgres is PostgreSQL's own"),
        ({"databases": [{"name": "pg_thing"}]}, "pg_thing is PostgreSQL's own"),
        ({"databases": [{"name": "a"}, {"name": "b"}]}, "a Secret without `secret:` is there twice"),
        ({"secrets": [{"name": "a", "kind": "token"}, {"name": "a", "kind": "token"}]}, "a is there twice"),
        ({"secrets": [{"name": "a", "kind": "pin"}]}, "should be 'password', 'token'"),
        ({"routes": [{"name": "a", "service": "a", "port": 80, "groups": []}]}, "at least 1 item"),
        ({"routes": [{"name": "api", "service": "a", "port": 80, "groups": ["b"]}]}, "api is the gateway's"),
        ({"metrics": [{"port": 9090, "path": "metrics"}]}, "it must match ^/"),
        ({"disks": []}, "disks: is not a key"),
    ],
)
def test_needs_that_cannot_be_met_are_found_when_they_are_read(
    tmp_path: Path, needs: dict[str, Any], said: str
) -> None:
    """A name of the server's own, one that is there twice, an unknown kind, a route without a login."""
    with pytest.raises(AiplatError) as caught:
        catalog_with(tmp_path, needs)
    assert said in str(caught.value)


def test_no_need_is_the_default() -> None:
    """A component that says nothing needs nothing."""
    assert Needs().kinds == ()
