"""`aiplat secret`: keeps secrets that people give in a site's vault; reading them is the verb's."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

from pydantic import Field

from aiplat.actions.site_hosts import is_lab
from aiplat.errors import BadInput, Finding
from aiplat.frozen import Frozen
from aiplat.runs.journal import one_run_at_a_time
from aiplat.site.findings import did_you_mean
from aiplat.site.models import Site
from aiplat.site.references import NAME, references_of
from aiplat.vault.store import ensure_secrets, give_secret, read_secrets

MAX_BYTES = 256 * 1024
"""Helm keeps a release's values in one Secret of the cluster, and those have 1 MiB."""


class SecretLine(Frozen):
    """A secret by name: since when the vault has it (None: it has not), and where the site refers to it."""

    name: str
    since: str | None
    used: tuple[str, ...]


class SecretList(Frozen):
    """The secrets of a site, also those it refers to and nobody has given yet."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["SecretList"] = "SecretList"
    site: str
    secrets: tuple[SecretLine, ...]


def set_secret(site: Site, name: str, value: str) -> bool:
    """Keep a secret under a name, and say whether that is another than before.

    Raises:
        BadInput: the name is none, the value is empty or too long, or the vault cannot be opened.
        AiplatError: a run of the site is at work.
    """
    if not NAME.fullmatch(name):
        problem = "this is not a secret name"
        raise BadInput(Finding("NAME", problem, "use lower-case letters, digits and dashes (RFC 1123)"))
    if not value or "\0" in value:
        raise BadInput(
            Finding(f"secret {name}", "its value is empty or not text", "give it on standard input")
        )
    if len(value.encode()) > MAX_BYTES:
        raise BadInput(Finding(f"secret {name}", f"its value is longer than {MAX_BYTES // 1024} KiB"))
    with one_run_at_a_time(site.name):
        return give_secret(site.name, ensure_secrets(site, lab=is_lab(site)), name, value)


def remove_secret(site: Site, name: str) -> None:
    """Keep a secret no longer.

    Raises:
        BadInput: there is none of that name, or the site refers to it.
        AiplatError: a run of the site is at work.
    """
    with one_run_at_a_time(site.name):
        known = read_secrets(site.name)
        if known is None or name not in known.given:
            fix = did_you_mean(name, known.given if known else ())
            raise BadInput(Finding(f"secret {name}", f"{site.name} has none of that name", fix))
        used = [Finding(path, f"refers to {name}", "take it out first") for path in _used(site)[name]]
        if used:
            raise BadInput(used)
        give_secret(site.name, known, name, None)


def list_secrets(site: Site) -> SecretList:
    """Return the names of a site's secrets and where they are used; no value.

    Raises:
        BadInput: the vault cannot be opened.
    """
    known, used = read_secrets(site.name), _used(site)
    given = known.given if known else {}
    return SecretList(
        site=site.name,
        secrets=tuple(
            SecretLine(
                name=name,
                since=given[name].since.isoformat() if name in given else None,
                used=tuple(used.get(name, ())),
            )
            for name in sorted({*given, *used})
        ),
    )


def _used(site: Site) -> defaultdict[str, list[str]]:
    used: defaultdict[str, list[str]] = defaultdict(list)
    for path, name in references_of(site):
        used[name].append(path)
    return used
