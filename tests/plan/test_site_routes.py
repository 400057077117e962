"""What routes come to: names under the domain, where they lead, who is asked first, what may connect."""

from __future__ import annotations

from typing import Any

from aiplat.catalog.components import Component
from aiplat.catalog.routes import names_taken_twice
from aiplat.plan.needs import connections
from aiplat.plan.routes import forward_auth, forwarded_hosts, ingress, routes, site_names
from tests.catalog.test_needs import THING, site


def component(name: str, **parts: Any) -> Component:
    """A component of the namespace aiplat-data."""
    return Component.model_validate({**THING, "name": name, **parts})


def asks(name: str, port: int, **more: Any) -> dict[str, Any]:
    """What a component says that wants one route."""
    return {"routes": [{"name": name, "service": name, "port": port, "groups": ["admin", "member"], **more}]}


DOOR = component("door", provides={"needs": {"routes": {"port": 8443}}})
LOGIN = component("login", provides={"needs": {"forwardAuth": {"port": 4180, "service": "proxy"}}})
PORTAL = component("portal", needs=asks("portal", 8000, signIn="own"))
PAGES = component("pages", needs=asks("pages", 9000, tls=True))
METER = component("meter", needs=asks("meter", 9090, optional=True))


def opened(*on: Component) -> set[tuple[str, str, int]]:
    """Return the connections between components."""
    return {(c["from"]["component"], c["to"]["component"], c["port"]) for c in connections(on)}


def test_a_route_is_a_name_under_the_domain_that_leads_to_a_service() -> None:
    """The ingress gets everything that it must know of it, in the order of names."""
    made = routes(site(), (DOOR, LOGIN, PORTAL, PAGES))
    assert [route["host"] for route in made] == ["pages.ward-3.internal", "portal.ward-3.internal"]
    assert made[1] == {
        "name": "portal",
        "host": "portal.ward-3.internal",
        "component": "portal",
        "namespace": "aiplat-data",
        "service": "portal",
        "port": 8000,
        "groups": ["admin", "member"],
        "allowed": ["admin", "member"],
        "forwarded": False,
        "tls": False,
    }


def test_who_signs_in_by_himself_is_not_asked_about() -> None:
    """The sign-in knows for which names it is asked; it is asked at its own Service."""
    on = (DOOR, LOGIN, PORTAL, PAGES)
    assert forwarded_hosts(site(), on) == ["pages.ward-3.internal"]
    assert forward_auth(on) == {"service": "proxy", "namespace": "aiplat-data", "port": 4180}
    assert forward_auth((DOOR, PORTAL)) is None


def test_only_the_ingress_may_connect_to_what_it_leads_to() -> None:
    """It gets to routed Services and to the sign-in; without an ingress nobody does."""
    assert opened(DOOR, LOGIN, PORTAL) == {("door", "portal", 8000), ("door", "login", 4180)}
    assert opened(LOGIN, PORTAL) == set()


def test_an_optional_route_is_made_where_its_visitors_can_be_asked_about() -> None:
    """No page without a login gets a name because a site has an ingress alone."""
    assert METER.needs.kinds == ()
    assert routes(site(), (DOOR, METER)) == []
    assert [route["name"] for route in routes(site(), (DOOR, LOGIN, METER))] == ["meter"]
    assert PAGES.needs.kinds == ("routes", "forwardAuth")


def test_a_name_that_two_want_is_refused() -> None:
    """It could lead to one of them alone."""
    again = component("again", needs=asks("portal", 80, signIn="own"))
    assert [str(finding) for finding in names_taken_twice((DOOR, PORTAL, again))] == [
        "planes.data.again: its route portal is also portal's; turn again or portal off"
    ]


def test_the_ingress_has_addresses_in_the_cluster_that_nobody_else_gets() -> None:
    """Pods reach it before any name of the site resolves for them."""
    assert ingress(site(), (DOOR,)) == {"on": True, "address": "10.43.0.12", "gateway": "10.43.0.13"}
    assert ingress(site(), ())["on"] is False


def test_the_names_of_a_site_are_its_own_the_gateways_and_those_of_routes() -> None:
    """Somebody who writes them down elsewhere has all of them."""
    assert site_names(site(), (DOOR, PORTAL)) == [
        "ward-3.internal",
        "api.ward-3.internal",
        "portal.ward-3.internal",
    ]
