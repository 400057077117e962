"""`aiplat users`: people and groups of the site's own sign-in, asked for in its pod; shows nothing."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from aiplat.catalog.resolve import components_on
from aiplat.cluster.client import Cluster
from aiplat.cluster.objects import Pod
from aiplat.content import parsed_json
from aiplat.errors import EXIT_BAD_INPUT, EXIT_FAILED, AiplatError, BadInput, Finding
from aiplat.fleet.tunnel import way_to
from aiplat.frozen import Frozen
from aiplat.site.models import Site

COMPONENT = "canaille"
_NAMESPACE, _PODS = "aiplat-access", f"app.kubernetes.io/name={COMPONENT}"
_PROGRAM = ("python3", "-m", "aiplat.services.signin")
_PORTAL = "portal"
_PORTAL_NAMESPACE, _PORTAL_PODS = "aiplat-user-serving", f"app.kubernetes.io/name={_PORTAL}"
_FOLLOW = (
    *("python3", "-m", "aiplat.services.people"),
    *("--sign-in", "/etc/aiplat/components/sign-in.json", "--sign-in-client", "/etc/aiplat/sign-in"),
)
_SECONDS = 120.0
"""It starts a program in a pod with little processor time."""


class Person(Frozen):
    """Somebody of the site: `invited` until a password is set, `locked` by an admin.

    `id` never changes, and is the subject of tokens.
    """

    id: str
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
    """Put a person into these groups and no others; it holds for open sessions too.

    Raises:
        BadInput: also if there is nobody of that name, or no such group, or no admin would be left.
        AiplatError: as `people`; or the portal cannot be asked, and what was changed does not hold there yet.
    """
    return _changed(site, "groups", *_options(groups), "--", name)


def lock_user(site: Site, name: str) -> Person:
    """Lock a person out: sessions end, and the keys that they made are refused while it lasts.

    Raises:
        BadInput: also if there is nobody of that name, or no admin would be left.
        AiplatError: as `set_groups`.
    """
    return _changed(site, "lock", "--", name)


def unlock_user(site: Site, name: str) -> Person:
    """Let a person in again, who was locked out.

    Raises:
        BadInput: also if there is nobody of that name.
        AiplatError: as `set_groups`.
    """
    return _changed(site, "unlock", "--", name)


def remove_user(site: Site, name: str) -> Person:
    """Remove a person: sessions end, and the keys that they made are revoked.

    Raises:
        BadInput: also if there is nobody of that name, or no admin would be left.
        AiplatError: as `set_groups`.
    """
    return _changed(site, "remove", "--", name)


def _changed(site: Site, *words: str) -> Person:
    """Have the sign-in change somebody, and the portal follow: it has the sessions and the keys."""
    person = Person.model_validate(_told(site, *words))
    if any(component.name == _PORTAL for component in components_on(site)):
        cluster = Cluster.of_site(site.name, way_to(site))
        pods = [pod for pod in cluster.pods(_PORTAL_NAMESPACE, _PORTAL_PODS) if pod.ready]
        code = cluster.run_in_pod(pods[0], list(_FOLLOW), _SECONDS).code if pods else EXIT_FAILED
        if code:
            problem = "is changed at the sign-in; open sessions and keys follow once the portal runs"
            raise AiplatError(Finding(f"user {person.name}", problem, "look with `aiplat status`"))
    return person


def _options(groups: tuple[str, ...]) -> list[str]:
    return [word for group in groups for word in ("--group", group)]


def _instead(site: Site) -> str:
    """Return what to do about people of a site that keeps none itself."""
    if site.sign_in:
        return f"people are managed at the company's, {site.sign_in.issuer}"
    if site.is_guest:
        return "it needs the ingress, which an existing cluster gets none of: people use keys of the gateway"
    return f"turn it on: planes: {{access: {{{COMPONENT}: {{state: on}}}}}}"


def _told(site: Site, *words: str) -> Any:
    if not has_sign_in(site):
        raise BadInput(Finding(f"site {site.name}", "has no sign-in of its own", _instead(site)))
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
