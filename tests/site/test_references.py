"""References from a site file to secrets."""

from __future__ import annotations

import pytest

from aiplat.site.models import Site
from aiplat.site.references import is_reference, references_of, with_secrets

VALUES = {
    "auth": [{"password": {"fromSecret": "admin"}}, 3],
    "hub": {"token": {"fromSecret": "hub"}, "on": True},
}


def test_references_are_found_with_their_paths() -> None:
    """In maps and lists, named as people write them."""
    host = {"name": "s1", "address": "10.0.0.11", "role": "server"}
    planes = {"data": {"postgresql": {"values": VALUES}}, "model": {"ollama": {}}}
    document = {"apiVersion": "aiplat.dev/v1alpha1", "kind": "Site", "name": "ward", "hosts": [host]}
    assert list(references_of(Site.model_validate(document | {"planes": planes}))) == [
        ("planes.data.postgresql.values.auth[0].password", "admin"),
        ("planes.data.postgresql.values.hub.token", "hub"),
    ]


def test_secrets_take_the_place_of_references() -> None:
    """Everything else stays as it is, and so does the value that was given."""
    filled = with_secrets(VALUES, {"admin": "a", "hub": "h"})
    assert filled == {"auth": [{"password": "a"}, 3], "hub": {"token": "h", "on": True}}
    assert VALUES["hub"] == {"token": {"fromSecret": "hub"}, "on": True}


def test_a_secret_that_is_not_there_is_an_error() -> None:
    """Nothing is left standing for it."""
    with pytest.raises(KeyError, match="hub"):
        with_secrets(VALUES, {"admin": "a"})


@pytest.mark.parametrize("value", [{}, {"fromSecret": "a", "b": 1}, {"a": 1}, "fromSecret", None])
def test_what_is_no_reference_is_a_value(value: object) -> None:
    """Only the one key alone makes a reference."""
    assert not is_reference(value)
