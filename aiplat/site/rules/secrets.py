"""Rules that keep secrets out of site files, which people share; forms are in aiplat.site.tokens."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from aiplat.site.document import YamlDocument
from aiplat.site.findings import Path, SiteFinding, finding_at
from aiplat.site.known import Known
from aiplat.site.references import NAME, REFERENCE
from aiplat.site.tokens import secret_form

_ENDINGS = ("password", "token", "secret", "apikey", "privatekey")
_FIX = "keep it out of the file; {fromSecret: NAME} stands for a secret"


def secret_under_key(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Under a key ending in password, token, secret, apiKey or privateKey stands no literal."""
    for path, value in document.walk():
        if path and _names_secret(path) and _is_literal(value):
            yield document.finding(path, "a secret is written into the file", _FIX)


def secret_in_value(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Nothing in the file has the form of a token, a private key or a password in a URL."""
    for path, value in document.walk():
        form = secret_form(value) if isinstance(value, str) else None
        if form and not (_names_secret(path) and _is_literal(value)):
            yield document.finding(path, f"this is {form}", _FIX)
        if path and isinstance(path[-1], str) and (form := secret_form(path[-1])):
            yield document.finding(path, f"this key is {form}", _FIX)


def secret_in_comment(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """No comment has a token or a private key in it."""
    for number, line in enumerate(document.text.splitlines(), start=1):
        comment = re.search(r"(?:^|\s)#(.*)$", line)
        form = secret_form(comment[1]) if comment else None
        if form:
            yield finding_at(document.file, number, 0, (f"this comment holds {form}", "remove it"))


def bad_secret_reference(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A reference to a secret is `{fromSecret: NAME}` alone, NAME being a name as RFC 1123 has it."""
    for path, value in document.walk():
        if not isinstance(value, dict) or REFERENCE not in value:
            continue
        name = value[REFERENCE]
        if not isinstance(name, str) or not NAME.fullmatch(name):
            problem = "this is not a secret name"
            fix = "use lower-case letters, digits and dashes (RFC 1123)"
            yield document.finding((*path, REFERENCE), problem, fix)
        elif len(value) > 1:
            yield document.finding(path, "a reference to a secret has no other keys", "keep fromSecret alone")


def _names_secret(path: Path) -> bool:
    """Whether the nearest key of a path (a list's items have their list's) names a secret."""
    keys = [part for part in path if isinstance(part, str)]
    nearest = keys[-1] if keys else ""
    return nearest != REFERENCE and re.sub(r"[-_]", "", nearest).casefold().endswith(_ENDINGS)


def _is_literal(value: Any) -> bool:
    """Whether a value could be a secret itself: no switch (true, false), nothing empty, no map or list."""
    return not isinstance(value, bool | dict | list) and value not in (None, "")
