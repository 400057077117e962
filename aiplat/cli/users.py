"""The `aiplat users` verbs; the work itself is in aiplat.actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from aiplat.cli.arguments import JsonOption, SiteArgument
from aiplat.cli.ending import print_json
from aiplat.cli.reaching import waiting
from aiplat.cli.terminal import Console
from aiplat.moments import moment_of
from aiplat.site.find import find_site
from aiplat.site.load import load_site

if TYPE_CHECKING:
    from aiplat.actions.users import Invited, Person

users_app = typer.Typer(
    no_args_is_help=True,
    help="""People and groups of a site's own sign-in (component `canaille`).

Nobody is given a password: whoever is added gets a link, which serves once and sets one. What a person may do
is decided by the groups: admin, operator, member.
""",
)

_Name = Annotated[str, typer.Argument(help="What the person signs in with.")]
_Groups = Annotated[
    list[str], typer.Option("--group", metavar="GROUP", help="admin, operator, member; once for each.")
]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.add_typer(users_app, name="users")


@users_app.command(name="list")
def list_(site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """List everybody, with groups and whether a password is set."""
    from aiplat.actions.users import people  # noqa: PLC0415

    with waiting("asking the sign-in"):
        found = people(load_site(find_site(site)))
    if as_json:
        print_json(found.model_dump(mode="json", by_alias=True))
        return
    table = Table("user", "groups", "mail", "state", box=None, pad_edge=False)
    for one in found.people:
        table.add_row(one.name, ", ".join(one.groups), one.email or "", one.state)
    Console(highlight=False).print(table)


@users_app.command(name="add")
def add(  # noqa: PLR0913, PLR0917 - one parameter an option
    name: _Name,
    group: _Groups,
    site: SiteArgument = None,
    email: Annotated[str | None, typer.Option(help="For programs that know people by it.")] = None,
    full_name: Annotated[str | None, typer.Option("--full-name", help="As pages show it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a person and print the link with which they set their password.

    aiplat users add ada --group operator --group member --email ada@example.org
    """
    from aiplat.actions.users import add_user  # noqa: PLC0415

    with waiting("asking the sign-in"):
        invited = add_user(load_site(find_site(site)), name, tuple(group), email, full_name)
    _show_link(invited, as_json=as_json)


@users_app.command(name="link")
def link(name: _Name, site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Print a new link for somebody who forgot the password; the link before it is worth nothing then.

    The old password holds until the new one is set.
    """
    from aiplat.actions.users import link_of  # noqa: PLC0415

    with waiting("asking the sign-in"):
        invited = link_of(load_site(find_site(site)), name)
    _show_link(invited, as_json=as_json)


@users_app.command(name="groups")
def groups(name: _Name, group: _Groups, site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Put a person into these groups and no others. The portal sees it at once, others at the next login."""
    from aiplat.actions.users import set_groups  # noqa: PLC0415

    with waiting("asking the sign-in"):
        person = set_groups(load_site(find_site(site)), name, tuple(group))
    _say(person, f"is in {', '.join(person.groups)}", as_json=as_json)


@users_app.command(name="team")
def team(
    name: _Name,
    team: Annotated[str, typer.Argument(help="The team; '' takes the person out of the one they are in.")],
    site: SiteArgument = None,
    as_json: JsonOption = False,
) -> None:
    """Put a person into a team, also before the first sign-in: it waits for them until then.

    aiplat users team ada ward

    With a company's sign-in the name is what it tells in the claim `signIn.userClaim`; whoever comes first by
    that name is taken for the person.
    """
    from aiplat.actions.users import put_into_team  # noqa: PLC0415

    with waiting("asking the portal"):
        placed = put_into_team(load_site(find_site(site)), name, team)
    if as_json:
        print_json(placed.model_dump(mode="json"))
        return
    later = ", from the first sign-in on" if placed.awaited and team else ""
    told = f"user {name} is in {f'the team {team}' if team else 'no team'}{later}"
    Console(stderr=True, highlight=False, soft_wrap=True).print(told, markup=False)


@users_app.command(name="lock")
def lock(name: _Name, site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Lock a person out: nobody signs in with that name, sessions end, keys that they made are refused.

    `aiplat users unlock` lets them in again, with the same password and keys.
    """
    from aiplat.actions.users import lock_user  # noqa: PLC0415

    with waiting("asking the sign-in"):
        person = lock_user(load_site(find_site(site)), name)
    _say(person, "is locked out", as_json=as_json)


@users_app.command(name="unlock")
def unlock(name: _Name, site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Let a person in again, who was locked out."""
    from aiplat.actions.users import unlock_user  # noqa: PLC0415

    with waiting("asking the sign-in"):
        person = unlock_user(load_site(find_site(site)), name)
    _say(person, "may sign in again", as_json=as_json)


@users_app.command(name="remove")
def remove(name: _Name, site: SiteArgument = None, as_json: JsonOption = False) -> None:
    """Remove a person: the sign-in refuses them from now on, and the keys that they made are revoked.

    Sessions at the portal end. Another program they are signed in to may keep its own session until that
    ends, a working day at most.
    """
    from aiplat.actions.users import remove_user  # noqa: PLC0415

    with waiting("asking the sign-in"):
        person = remove_user(load_site(find_site(site)), name)
    _say(person, "is gone", as_json=as_json)


def link_lines(invited: Invited) -> str:
    """Return what tells somebody of a link."""
    until = moment_of(invited.expires).astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return f"{invited.name} sets a password at this address, once, until {until}:"


def _show_link(invited: Invited, *, as_json: bool) -> None:
    if invited.noted is False:
        warning = "the portal does not run: the site's audit trail does not say that this link was made"
        Console(stderr=True, highlight=False, soft_wrap=True).print(warning, style="yellow", markup=False)
    if as_json:
        print_json(invited.model_dump(mode="json"))
        return
    Console(stderr=True, highlight=False, soft_wrap=True).print(link_lines(invited), markup=False)
    Console(highlight=False, soft_wrap=True).print(invited.link, markup=False)


def _say(person: Person, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(person.model_dump(mode="json"))
    else:
        told = f"user {person.name} {sentence}"
        Console(stderr=True, highlight=False, soft_wrap=True).print(told, markup=False)
