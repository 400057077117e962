"""References from a site file to secrets, `{fromSecret: NAME}`; keeping secrets belongs in aiplat.vault."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from aiplat.site.models import Site

REFERENCE = "fromSecret"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""What a secret may be called (RFC 1123)."""


def identity_name(secret: str) -> str:
    """Return under which name the identity of a secret that somebody gave is known."""
    return f"secret {secret}"


def is_reference(value: object) -> bool:
    """Whether a value stands for a secret."""
    return isinstance(value, Mapping) and set(value) == {REFERENCE}


def references_of(site: Site) -> Iterator[tuple[str, str]]:
    """Yield where a site refers to a secret, as people write paths, and the secret's name."""
    for plane, names in site.planes.items():
        for name, setting in names.items():
            yield from references_in(setting.values, f"planes.{plane}.{name}.values")
    if site.sign_in:
        yield "signIn.clientSecret", site.sign_in.client_secret.from_secret


def references_in(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the references in a value: path below `path`, and name."""
    if is_reference(value):
        yield path, value[REFERENCE]
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from references_in(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from references_in(item, f"{path}[{index}]")


def with_secrets(value: Any, secrets: Mapping[str, str]) -> Any:
    """Return a value with every reference replaced by its secret.

    Raises:
        KeyError: there is no secret of that name.
    """
    if is_reference(value):
        return secrets[value[REFERENCE]]
    if isinstance(value, Mapping):
        return {key: with_secrets(item, secrets) for key, item in value.items()}
    return [with_secrets(item, secrets) for item in value] if isinstance(value, list) else value
