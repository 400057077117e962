"""Every page and form of the portal and the role that it needs: the one list, asked before anything else."""

from __future__ import annotations

from dataclasses import dataclass

from aiplat.services.store.keys import Role


@dataclass(frozen=True)
class MenuEntry:
    """A page in the menu; its title is the question that it answers."""

    path: str
    title: str
    question: str
    role: Role = "member"


PAGES = (
    MenuEntry("/", "Attention", "What needs attention?"),
    MenuEntry("/models", "Models", "What can I use?"),
    MenuEntry("/playground", "Playground", "How does it answer?"),
    MenuEntry("/mine", "Mine", "What is mine, and what is left?"),
    MenuEntry("/usage", "Usage", "Who used what?"),
    MenuEntry("/components", "Components", "What runs here?"),
    MenuEntry("/runs", "Runs", "What is happening?", "operator"),
    MenuEntry("/logs", "Logs", "What did it write?", "operator"),
    MenuEntry("/activity", "Activity", "What happened?", "admin"),
    MenuEntry("/people", "Teams and people", "Who may use the site?", "admin"),
)

FORMS: dict[str, Role] = {
    "/playground": "member",
    "/playground/stream": "member",
    "/mine/rotate": "member",
    "/mine/keys": "member",
    "/mine/keys/rotate": "member",
    "/mine/keys/revoke": "member",
    "/sign-out": "member",
    "/people/teams": "admin",
    "/people/keys": "admin",
    "/people/revoke": "admin",
    "/people/team": "admin",
    "/people/await": "admin",
    "/people/add": "admin",
    "/people/groups": "admin",
    "/people/lock": "admin",
    "/people/link": "admin",
    "/people/remove": "admin",
}
"""What is sent by POST, and who may."""

READ: dict[str, Role] = {page.path: page.role for page in PAGES} | {"/usage.csv": "member"}
"""What is asked for by GET, and who may."""

STREAMED: dict[str, Role] = {"/runs/stream": "operator", "/logs/stream": "operator"}
"""What a page keeps asking for by GET while it is open, and who may; nobody's session lasts longer by it."""

OPEN = frozenset({"/sign-in", "/sign-in/by-name", "/signed-in", "/static/portal.css", "/static/portal.js"})
"""What is answered to everybody."""


def role_for(method: str, path: str) -> Role | None:
    """Return the role that a request needs, or None where there is no such page or form."""
    return FORMS.get(path) if method == "POST" else (READ | STREAMED).get(path)
