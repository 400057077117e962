"""`aiplat sign-in`: what a company's own provider must know of a site."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.actions.sign_in import sign_in_of
from aiplat.errors import BadInput
from aiplat.site.models import Site


def site(**more: Any) -> Site:
    """A site with metrics pages behind a sign-in that is not its own."""
    head = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward-3"}
    host = {"name": "s1", "address": "10.0.0.11", "role": "server"}
    return Site.model_validate({**head, "hosts": [host], **more})


SIGN_IN = {
    "issuer": "https://id.example.com/realms/x",
    "clientId": "ward-3",
    "clientSecret": {"fromSecret": "sign-in"},
    "groups": {"admin": ["AI admins"]},
}
PAGES = {"access": {"oauth2-proxy": {"state": "on"}}, "platform": {"prometheus": {"state": "on"}}}


def test_one_client_has_the_addresses_of_every_page() -> None:
    """They are what to register: each host of a page has one to come back to after signing in and out."""
    found = sign_in_of(site(signIn=SIGN_IN, planes=PAGES))
    assert (found.whose, found.groups["admin"], found.groups["member"]) == ("company", ("AI admins",), ())
    client = next(c for c in found.clients if c.id == "ward-3")
    assert "https://metrics.ward-3.internal/oauth2/callback" in client.redirect_uris
    assert "https://metrics.ward-3.internal/" in client.logout_uris
    assert not client.public


def test_a_site_without_a_sign_in_says_what_to_do() -> None:
    """By the site's own, or the company's."""
    with pytest.raises(BadInput, match=r"has no sign-in; turn planes\.access\.canaille on, or name"):
        sign_in_of(site())
