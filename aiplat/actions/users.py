"""`aiplat users`: people and groups of the site's own sign-in, asked for in its pod; shows nothing."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from aiplat.catalog.resolve import components_on
from aiplat.cluster.client import Cluster
from aiplat.cluster.objects import Pod
from aiplat.content import parsed_json
from aiplat.errors import EXIT_BAD_INPUT, AiplatError, BadInput, Finding
from aiplat.fleet.tunnel import way_to
from aiplat.frozen import Frozen
from aiplat.site.models import Site

COMPONENT = "canaille"
_NAMESPACE, _PODS = "aiplat-access", f"app.kubernetes.io/name={COMPONENT}"
_PROGRAM = ("python3", "-m", "aiplat.services.signin")
_SECONDS = 120.0
"""It starts a program in a pod with little processor time."""


class Person(Frozen):
    """Somebody of the site: `invited` until a password is set, `locked` by an admin."""

    name: str
    groups: tuple[str, ...]
    email: str | None
    state: Literal["invited", "active", "locked"]


class Invited(Person):
    """Somebody with a new link to set a password; the link is a secret until then, and serves once."""

    link: str = Field(repr=False)
    expires: str


class People(Frozen):
    """Everybody of a site."""

    api_version: Literal["aiplat.dev/v1alpha1"] = Field(default="aiplat.dev/v1alpha1", alias="apiVersion")
    kind: Literal["People"] = "People"
    site: str
    people: tuple[Person, ...]


def has_sign_in(site: Site) -> bool:
    """Whether people of the site are kept in the site itself."""
    return any(component.name == COMPONENT for component in components_on(site))


def people(site: Site) -> People:
    """Return everybody, by name.

    Raises:
        BadInput: the site keeps no people, or there is no cluster yet.
        AiplatError: cluster or sign-in cannot be asked.
    """
    return People(site=site.name, people=tuple(Person.model_validate(one) for one in _told(site, "list")))


def first_admin(site: Site) -> Invited | None:
    """Make the first admin with a link where there is nobody yet; None where there is somebody.

    Raises:
        BadInput, AiplatError: as `people`.
    """
    told = _told(site, "first")
    return Invited.model_validate(told) if told else None


def add_user(
    site: Site, name: str, groups: tuple[str, ...], email: str | None = None, full_name: str | None = None
) -> Invited:
    """Make a person, and a link to set a password.

    Raises:
        BadInput: also if there is such a person, or no such group.
        AiplatError: as `people`.
    """
    more = [*(("--email", email) if email else ()), *(("--full-name", full_name) if full_name else ())]
    return Invited.model_validate(_told(site, "add", *_options(groups), *more, "--", name))


def link_of(site: Site, name: str) -> Invited:
    """Make a new link for a person; the one before is worth nothing then.

    Raises:
        BadInput: also if there is nobody of that name.
        AiplatError: as `people`.
    """
    return Invited.model_validate(_told(site, "link", "--", name))


def set_groups(site: Site, name: str, groups: tuple[str, ...]) -> Person:
    """Put a person into these groups and no others.

    Raises:
        BadInput: also if there is nobody of that name, or no such group.
        AiplatError: as `people`.
    """
    return Person.model_validate(_told(site, "groups", *_options(groups), "--", name))


def remove_user(site: Site, name: str) -> Person:
    """Remove a person.

    Raises:
        BadInput: also if there is nobody of that name.
        AiplatError: as `people`.
    """
    return Person.model_validate(_told(site, "remove", "--", name))


def _options(groups: tuple[str, ...]) -> list[str]:
    return [word for group in groups for word in ("--group", group)]


def _told(site: Site, *words: str) -> Any:
    if not has_sign_in(site):
        fix = f"turn it on: planes: {{access: {{{COMPONENT}: {{state: on}}}}}}"
        raise BadInput(Finding(f"site {site.name}", "has no sign-in of its own", fix))
    cluster = Cluster.of_site(site.name, way_to(site))
    ran = cluster.run_in_pod(_pod(site, cluster), [*_PROGRAM, *words], _SECONDS)
    first = ran.output.partition("\n")[0]
    try:
        told = parsed_json(first)
    except ValueError:
        # Whatever it is, it may hold a link.
        problem = f"gave an answer that is not understood (exit code {ran.code})"
        raise AiplatError(Finding(_where(site), problem, f"look with `aiplat logs {COMPONENT}`")) from None
    if ran.code == EXIT_BAD_INPUT and "error" in told:
        raise BadInput(Finding(**told["error"]))
    return told


def _pod(site: Site, cluster: Cluster) -> Pod:
    ready = [pod for pod in cluster.pods(_NAMESPACE, _PODS) if pod.ready]
    if not ready:
        raise AiplatError(Finding(_where(site), "does not run", "look with `aiplat status`"))
    return min(ready, key=lambda pod: pod.name)


def _where(site: Site) -> str:
    return f"the sign-in of {site.name}"
