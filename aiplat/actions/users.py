"""`aiplat users`: people and groups of the site's own sign-in, asked for in its pod; shows nothing."""

from __future__ import annotations

import json
import socket
from typing import Any, Literal

from pydantic import Field

from aiplat.catalog.resolve import components_on
from aiplat.cluster.client import Cluster
from aiplat.cluster.objects import Pod, Ran
from aiplat.content import parsed_json
from aiplat.errors import EXIT_BAD_INPUT, AiplatError, BadInput, Finding
from aiplat.fleet.sentences import own_name
from aiplat.fleet.tunnel import way_to
from aiplat.frozen import Frozen
from aiplat.site.models import Site

COMPONENT = "canaille"
_NAMESPACE, _PODS = "aiplat-access", f"app.kubernetes.io/name={COMPONENT}"
_PROGRAM = ("python3", "-m", "aiplat.services.signin")
_PORTAL = "portal"
_PORTAL_NAMESPACE, _PORTAL_PODS = "aiplat-user-serving", f"app.kubernetes.io/name={_PORTAL}"
_AT_PORTAL = (
    *("python3", "-m", "aiplat.services.people"),
    *("--sign-in", "/etc/aiplat/components/sign-in.json", "--sign-in-client", "/etc/aiplat/sign-in"),
)
_OF_GROUPS = frozenset({"person.invited", "person.groups"})
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
    """Somebody with a new link to set a password; the link is a secret until then, and serves once.

    `noted`: whether the site's audit trail has it; None where the site has no portal, which keeps the trail.
    """

    link: str = Field(repr=False)
    expires: str
    noted: bool | None = None


class Placed(Frozen):
    """Somebody in a team, empty: in none; `awaited` until the first sign-in. `id` is the portal's."""

    id: str
    name: str
    team: str
    awaited: bool


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
    return _invited(site, "person.invited", told) if told else None


def add_user(
    site: Site, name: str, groups: tuple[str, ...], email: str | None = None, full_name: str | None = None
) -> Invited:
    """Make a person, and a link to set a password.

    Raises:
        BadInput: also if there is such a person, or no such group.
        AiplatError: as `people`.
    """
    more = [*(("--email", email) if email else ()), *(("--full-name", full_name) if full_name else ())]
    return _invited(site, "person.invited", _told(site, "add", *_options(groups), *more, "--", name))


def link_of(site: Site, name: str) -> Invited:
    """Make a new link for a person; the one before is worth nothing then.

    Raises:
        BadInput: also if there is nobody of that name.
        AiplatError: as `people`.
    """
    return _invited(site, "person.link", _told(site, "link", "--", name))


def set_groups(site: Site, name: str, groups: tuple[str, ...]) -> Person:
    """Put a person into these groups and no others; it holds for open sessions too.

    Raises:
        BadInput: also if there is nobody of that name, or no such group, or no admin would be left.
        AiplatError: as `people`; or the portal cannot be asked, and what was changed does not hold there yet.
    """
    return _changed(site, "person.groups", "groups", *_options(groups), "--", name)


def lock_user(site: Site, name: str) -> Person:
    """Lock a person out: sessions end, and the keys that they made are refused while it lasts.

    Raises:
        BadInput: also if there is nobody of that name, or no admin would be left.
        AiplatError: as `set_groups`.
    """
    return _changed(site, "person.locked", "lock", "--", name)


def unlock_user(site: Site, name: str) -> Person:
    """Let a person in again, who was locked out.

    Raises:
        BadInput: also if there is nobody of that name.
        AiplatError: as `set_groups`.
    """
    return _changed(site, "person.unlocked", "unlock", "--", name)


def remove_user(site: Site, name: str) -> Person:
    """Remove a person: sessions end, and the keys that they made are revoked.

    Raises:
        BadInput: also if there is nobody of that name, or no admin would be left.
        AiplatError: as `set_groups`.
    """
    return _changed(site, "person.removed", "remove", "--", name)


def put_into_team(site: Site, name: str, team: str) -> Placed:
    """Put somebody into a team, empty: into none; who did not sign in yet comes into it then.

    Raises:
        BadInput: the site has no portal or no sign-in, or its own knows nobody of that name; or there is no
            such team, or keys without one would be left.
        AiplatError: cluster, portal or sign-in cannot be asked.
    """
    if not _has_portal(site):
        fix = f"turn it on: planes: {{user-serving: {{{_PORTAL}: {{state: on}}}}}}"
        raise BadInput(Finding(f"site {site.name}", "has no portal, which keeps people's teams", fix))
    ran = _at_portal(site, "team", f"--team={team}", "--", name)
    told = _answer(ran, f"the portal of {site.name}", _PORTAL)
    return Placed(id=told["id"], name=name, team=team, awaited=told["awaited"])


def _changed(site: Site, action: str, *words: str) -> Person:
    """Have the sign-in change somebody, and the portal follow: it has the sessions and the keys."""
    person = Person.model_validate(_told(site, *words))
    if _noted(site, action, person) is False:
        problem = "is changed at the sign-in; open sessions and keys follow once the portal runs"
        raise AiplatError(Finding(f"user {person.name}", problem, "look with `aiplat status`"))
    return person


def _invited(site: Site, action: str, told: Any) -> Invited:
    invited = Invited.model_validate(told)
    return invited.model_copy(update={"noted": _noted(site, action, invited)})


def _noted(site: Site, action: str, person: Person) -> bool | None:
    """Whether the portal wrote down what was done, and by whom; None where the site has none.

    Who did it is as this machine says, in the words of a lock's holder: told, and good for no right.
    """
    if not _has_portal(site):
        return None
    detail = {"name": person.name, "groups": list(person.groups)}
    said = {
        "action": action,
        "subject": person.id,
        "detail": json.dumps(detail if action in _OF_GROUPS else {"name": person.name}),
    }
    try:
        return not _at_portal(site, "note", *(f"--{name}={value}" for name, value in said.items())).code
    except AiplatError:
        return False


def _at_portal(site: Site, verb: str, *words: str) -> Ran:
    """Have the portal do something: it has teams, sessions, keys and the audit trail."""
    cluster = Cluster.of_site(site.name, way_to(site))
    ready = [pod for pod in cluster.pods(_PORTAL_NAMESPACE, _PORTAL_PODS) if pod.ready]
    if not ready:
        raise AiplatError(Finding(f"the portal of {site.name}", "does not run", "look with `aiplat status`"))
    by = f"--by={own_name()}@{socket.gethostname()}"
    return cluster.run_in_pod(min(ready, key=lambda pod: pod.name), [*_AT_PORTAL, by, verb, *words], _SECONDS)


def _has_portal(site: Site) -> bool:
    return any(component.name == _PORTAL for component in components_on(site))


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
    return _answer(ran, _where(site), COMPONENT)


def _answer(ran: Ran, where: str, component: str) -> Any:
    first = ran.output.partition("\n")[0]
    try:
        told = parsed_json(first)
    except ValueError:
        # Whatever it is, it may hold a link.
        problem = f"gave an answer that is not understood (exit code {ran.code})"
        raise AiplatError(Finding(where, problem, f"look with `aiplat logs {component}`")) from None
    if ran.code and "error" in told:
        fault = BadInput if ran.code == EXIT_BAD_INPUT else AiplatError
        raise fault(Finding(**told["error"]))
    return told


def _pod(site: Site, cluster: Cluster) -> Pod:
    ready = [pod for pod in cluster.pods(_NAMESPACE, _PODS) if pod.ready]
    if not ready:
        raise AiplatError(Finding(_where(site), "does not run", "look with `aiplat status`"))
    return min(ready, key=lambda pod: pod.name)


def _where(site: Site) -> str:
    return f"the sign-in of {site.name}"
