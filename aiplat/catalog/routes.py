"""Which routes components have, and what is wrong with them; what becomes of them is aiplat.plan's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aiplat.catalog.components import Component
from aiplat.catalog.needs import NeedKind, RouteNeed
from aiplat.errors import Finding
from aiplat.site.models import Site


def made_routes(on: Sequence[Component]) -> Iterator[tuple[Component, RouteNeed]]:
    """Yield the routes that components have: optional ones where somebody provides all that they ask for."""
    if provider_of(on, "routes") is None:
        return
    for component in on:
        for route in component.needs.routes:
            asks = route.sign_in == "forwarded"
            if component.namespace and not (asks and provider_of(on, "forwardAuth") is None):
                yield component, route


def provider_of(on: Sequence[Component], need: NeedKind) -> Component | None:
    """Return the first component that provides what others need, or None."""
    return next((c for c in on if need in c.provides.needs), None)


def names_taken_twice(on: Sequence[Component]) -> Iterator[Finding]:
    """Yield each name that several components want for their routes."""
    made = list(made_routes(on))
    for name in sorted({route.name for _, route in made}):
        first, *others = [component for component, route in made if route.name == name]
        for other in others:
            where = f"planes.{other.plane}.{other.name}"
            problem = f"its route {name} is also {first.name}'s"
            yield Finding(where, problem, f"turn {other.name} or {first.name} off")


def two_sign_ins(site: Site, on: Sequence[Component]) -> Iterator[Finding]:
    """Yield a finding where a site has a sign-in of its own beside the company's."""
    provider = provider_of(on, "oidcClients")
    if provider and site.sign_in:
        problem = f"the site has two sign-ins: {provider.name} and {site.sign_in.issuer}"
        fix = f"turn {provider.name} off, or take `signIn` out"
        yield Finding(f"planes.{provider.plane}.{provider.name}", problem, fix)
