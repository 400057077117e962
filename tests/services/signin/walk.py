"""Walks through a real Canaille as browsers and programs do; runs on its image's wheels, writes JSON.

Canaille's test client answers in this process, so that starting it, which takes seconds, happens once.
"""

from __future__ import annotations

import datetime
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from canaille.app import models
from canaille.backends import Backend
from otpauth import TOTP

from aiplat.services.signin import people
from aiplat.services.signin.clients import seed
from aiplat.services.signin.kept import GROUPS, PersonRefused
from aiplat.services.signin.serve import prepared
from tests.services.signin.visitors import CLI, HUB, LOGIN, PASSWORD, PORTAL, Browser, Program, read


def main(folder: Path) -> dict[str, Any]:
    """Do the whole walk and return what was seen."""
    app = prepared(folder)
    app.config["WTF_CSRF_SSL_STRICT"] = True
    facts: dict[str, Any] = {
        "discovery": app.test_client().get("/.well-known/openid-configuration", base_url=LOGIN).json
    }
    facts["login page"] = app.test_client().get("/login", base_url=LOGIN).text
    facts["look"] = app.test_client().get("/look/look.css", base_url=LOGIN).status_code
    facts["scim"] = app.test_client().get("/scim/v2/Users", base_url=LOGIN).status_code
    facts |= links(app) | flows(app) | rights(app) | lockout(app) | second_factor(app)
    facts |= locking(app) | own_pages(app) | leaving(app, folder)
    return facts


def links(app: Any) -> dict[str, Any]:
    """The first admin by link: once, not twice, not by a wrong one."""
    with app.app_context():
        first, again = people.first(), people.first()
        old = people.added("late", ["member"])["link"]
        new = people.linked("late")["link"]
    path = urlsplit(first["link"]).path
    browser, other = Browser(app), Browser(app)
    wrong = other.get(path[:-4] + "AAAA")
    done = browser.post(path, password=PASSWORD, confirmation=PASSWORD)
    return {
        "first": first,
        "first again": again,
        "wrong link": wrong.location,
        "short password": Browser(app)
        .post(urlsplit(new).path, password="short", confirmation="short")
        .location,
        "link leads to": done.location,
        "signed in by link": browser.get("/profile/admin").status_code,
        "link used twice": other.get(path).location,
        "older link": other.get(urlsplit(old).path).location,
        "newer link": other.get(urlsplit(new).path).status_code,
        "signs in": Browser(app).signed_in("admin"),
        "no password yet": Browser(app).signed_in("late", "not the password"),
        "unknown name": Browser(app).signed_in("nobody"),
    }


def ready(app: Any, name: str, *groups: str) -> Browser:
    """Return a browser of a new person who has set a password and is signed in."""
    with app.app_context():
        link = people.added(name, groups)["link"]
    browser = Browser(app)
    browser.post(urlsplit(link).path, password=PASSWORD, confirmation=PASSWORD)
    return browser


def flows(app: Any) -> dict[str, Any]:
    """Code with PKCE for each way that clients authenticate, refresh, sign-out."""
    browser, program = ready(app, "ada", "operator", "member"), Program(app)
    with app.app_context():
        seed([PORTAL, CLI, HUB])
    facts: dict[str, Any] = {"authorize": browser.authorized(PORTAL).location}
    for client in (PORTAL, CLI, HUB):
        given = program.exchange(client, browser.code(client)).json
        facts[f"tokens {client['id']}"] = {
            "id": read(given["id_token"]),
            "access": read(given["access_token"]),
            "seconds": given["expires_in"],
        }
    facts["basic for post"] = program.exchange(HUB, browser.code(HUB), "client_secret_basic").status_code
    bare = dict(parse_qsl(urlsplit(browser.authorized(CLI, code_challenge="").location).query))
    grant = {"grant_type": "authorization_code", "redirect_uri": CLI["redirectUris"][0]}
    facts["public without PKCE"] = program.token(CLI, code=bare.get("code", ""), **grant).status_code
    facts["foreign redirect"] = browser.authorized(PORTAL, redirect_uri="https://evil.test/").status_code
    given = program.exchange(PORTAL, browser.code(PORTAL)).json
    facts["userinfo"] = program.userinfo(given["access_token"]).json
    refreshed = program.refresh(PORTAL, given["refresh_token"])
    facts["refreshed"] = refreshed.status_code, refreshed.json.get("expires_in")
    facts["refresh token twice"] = program.refresh(PORTAL, given["refresh_token"]).status_code
    with app.app_context():
        facts["user id"] = ada_id()
    copy = browser.copied()
    facts["copy before"] = urlsplit(copy.authorized(PORTAL).location).path
    ended = browser.get(
        f"/oauth/end_session?client_id=portal&id_token_hint={given['id_token']}&post_logout_redirect_uri=https://portal.ward.test/&state=x"
    )
    facts["sign-out"] = ended.status_code, ended.location
    facts["after sign-out"] = urlsplit(browser.authorized(PORTAL).location).path
    facts["copy after"] = urlsplit(copy.authorized(PORTAL).location).path
    browser.signed_in("ada")
    facts["signs in again"] = urlsplit(browser.authorized(PORTAL).location).path
    second = browser.copied()
    browser.get("/logout")
    facts["copy after logout"] = second.get("/profile/ada").status_code
    return facts


def ada_id() -> str:
    """Return the identifier that Canaille keeps for ada, whatever she is called."""
    return str(Backend.instance.get(models.User, user_name="ada").id)


def rights(app: Any) -> dict[str, Any]:
    """What pages an admin and a member may see."""
    admin, member = Browser(app), Browser(app)
    admin.signed_in("admin")
    member.signed_in("ada")
    pages = ("/users", "/groups", "/profile", "/admin/client/add", "/profile/admin")
    return {"pages": {page: (admin.get(page).status_code, member.get(page).status_code) for page in pages}}


def lockout(app: Any) -> dict[str, Any]:
    """The right password after wrong ones: too soon, and when enough time has gone by."""
    ready(app, "bea", "member")
    wrong = Browser(app).signed_in("bea", "wrong password")
    with app.app_context():
        counted = failures("bea", 0)
        failures("bea", 8)
    soon = Browser(app).signed_in("bea")
    with app.app_context():
        failures("bea", 0, datetime.timedelta(minutes=11))
    return {
        "lockout": {"wrong": wrong, "counted": counted, "soon": soon, "later": Browser(app).signed_in("bea")}
    }


def failures(name: str, more: int, ago: datetime.timedelta = datetime.timedelta()) -> int:
    """Count wrong passwords, after adding some and moving all of them into the past."""
    user = Backend.instance.get(models.User, user_name=name)
    for _ in range(more):
        Backend.instance.record_failed_attempt(user)
    user.password_failure_timestamps = [one - ago for one in user.password_failure_timestamps or ()]
    Backend.instance.save(user)
    return len(user.password_failure_timestamps)


def second_factor(app: Any) -> dict[str, Any]:
    """Codes of an app, where the site demands them: set up at the first sign-in, asked for at the next."""
    ready(app, "cyd", "member")
    factors = app.config["CANAILLE"]
    factors["AUTHENTICATION_FACTORS"] = ["password", "otp"]
    browser = Browser(app)
    browser.signed_in("cyd")
    secret = str(re.search(r"secret=([A-Z2-7]+)", browser.get("/auth/otp-setup").text)[1])  # type: ignore[index]
    before = browser.get("/profile/cyd").status_code
    coded(browser, "/auth/otp-setup", secret)
    later = Browser(app)
    later.signed_in("cyd")
    seen = {
        "before": before,
        "set up": browser.get("/profile/cyd").status_code,
        "wrong code": later.post("/auth/otp", otp="000000").location or "",
        "next time": coded(later, "/auth/otp", secret),
    }
    factors["AUTHENTICATION_FACTORS"] = ["password", "fido2"]
    demanded = Browser(app).signed_in("cyd")
    factors["AUTHENTICATION_FACTORS"] = ["password"]
    return {"second factor": seen, "passkey": demanded}


def coded(browser: Browser, page: str, secret: str) -> str:
    """Give the code of now; once more where its half minute ended in between."""
    for _ in range(5):
        code = TOTP.from_b32encode(secret).generate()
        if leads := browser.post(page, otp=str(code).zfill(6)).location:
            return str(leads)
    return ""


def locking(app: Any) -> dict[str, Any]:
    """A person who is locked out and let in again, and an admin who is the only one."""
    browser, program = ready(app, "eve", "member"), Program(app)
    given = program.exchange(PORTAL, browser.code(PORTAL)).json
    with app.app_context():
        link = people.linked("eve")["link"]
        state = people.locked("eve", wanted=True)["state"]
    facts = {
        "state": state,
        "browser": urlsplit(browser.authorized(PORTAL).location).path,
        "password": Browser(app).signed_in("eve"),
        "userinfo": program.userinfo(given["access_token"]).status_code,
        "refresh": program.refresh(PORTAL, given["refresh_token"]).status_code,
        "link": Browser(app).get(urlsplit(link).path).location,
    }
    with app.app_context():
        facts["new link"] = refusal(lambda: people.linked("eve"), whole=True)
        people.locked("eve", wanted=False)
    facts["let in"] = Browser(app).signed_in("eve")
    return {"locked": facts, "last admin": last_admin(app)}


def last_admin(app: Any) -> list[str]:
    """What is said to who would leave the site without an admin; another never set a password."""
    with app.app_context():
        people.grouped("late", ["admin"])
        ways = (
            lambda: people.removed("admin"),
            lambda: people.locked("admin", wanted=True),
            lambda: people.grouped("admin", ["member"]),
        )
        return [refusal(way) for way in ways]


OWN_PAGES = {
    "removes itself": ("/profile/{self}/settings", {"action": "delete-execute"}),
    "locks itself": ("/profile/{self}/settings", {"action": "lock-execute"}),
    "leaves": ("/groups/{group}/leave", {}),
    "removes another": ("/profile/eve/settings", {"action": "delete-execute"}),
    "locks another": ("/profile/eve/settings", {"action": "lock-execute"}),
    "takes another out": ("/groups/member", {"action": "remove-member", "member": "eve"}),
    "regroups another": ("/profile/eve/settings", {"action": "edit-settings", "user_name": "eve"}),
    "ends a group": ("/groups/operator", {"action": "delete"}),
    "adds somebody": ("/profile", {"user_name": "new", "emails-0": "new@ward.test", "family_name": "New"}),
}


def own_pages(app: Any) -> dict[str, Any]:
    """What Canaille's own pages do to people, locks and the site's groups, for a member and an admin."""
    ready(app, "fay", "member")
    with app.app_context():
        before = people.listed()
    facts: dict[str, Any] = {}
    for name, group in (("fay", "member"), ("admin", "admin")):
        for way, (path, form) in OWN_PAGES.items():
            browser = Browser(app)
            browser.signed_in(name)
            page = path.format(self=name, group=group)
            answer = browser.post(page, on=f"/profile/{name}", **form)
            said = browser.get(browser.get("/").location or "/").text
            with app.app_context():
                facts[f"{name} {way}"] = {
                    "status": answer.status_code,
                    "told": "https://portal.ward.test/people" in said,
                    "is so": people.listed() != before
                    or len(Backend.instance.query(models.Group)) != len(GROUPS),
                }
    return {"own pages": facts, "own groups": own_groups(app)}


def own_groups(app: Any) -> list[str]:
    """The groups of somebody whom an admin put into one for a team, on Canaille's own pages."""
    admin = Browser(app)
    admin.signed_in("admin")
    admin.post("/groups/add", display_name="nurses", description="")
    with app.app_context():
        ids = [Backend.instance.get(models.Group, display_name=name).id for name in ("member", "nurses")]
    admin.post("/profile/eve/settings", action="edit-settings", user_name="eve", groups=ids)
    with app.app_context():
        return next(one["groups"] for one in people.listed() if one["name"] == "eve")


def refusal(way: Callable[[], object], *, whole: bool = False) -> str:
    """Return what is said against something, empty where it is done."""
    try:
        way()
    except PersonRefused as refused:
        where, problem = refused.finding["where"], refused.finding["problem"]
        return f"{where}: {problem}" if whole else problem
    return ""


def leaving(app: Any, folder: Path) -> dict[str, Any]:
    """A person who is removed, clients that change and go, and a second start."""
    browser, program = ready(app, "dov", "member"), Program(app)
    given = program.exchange(PORTAL, browser.code(PORTAL)).json
    code = browser.code(PORTAL)
    with app.app_context():
        people.removed("dov")
    facts: dict[str, Any] = {
        "removed": {
            "browser": urlsplit(browser.authorized(PORTAL).location).path,
            "password": Browser(app).signed_in("dov"),
            "userinfo": program.userinfo(given["access_token"]).status_code,
            "refresh": program.refresh(PORTAL, given["refresh_token"]).status_code,
            "code": program.exchange(PORTAL, code).status_code,
        }
    }
    moved = PORTAL | {"secret": "another", "redirectUris": ["https://portal.ward.test/elsewhere"]}
    with app.app_context():
        seed([moved, CLI])
        facts["people"] = [one["name"] for one in people.listed()]
        regrouped = people.grouped("ada", ["admin"])["groups"]
    ada = Browser(app)
    ada.signed_in("ada")
    facts["moved"] = {
        "new": program.exchange(moved, ada.code(moved)).status_code,
        "old redirect": ada.authorized(PORTAL).status_code,
        "old secret": program.exchange(moved | {"secret": PORTAL["secret"]}, ada.code(moved)).status_code,
        "gone client": ada.authorized(HUB).status_code,
        "groups": (
            regrouped,
            program.userinfo(program.exchange(moved, ada.code(moved)).json["access_token"]).json["groups"],
        ),
    }
    return facts


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
