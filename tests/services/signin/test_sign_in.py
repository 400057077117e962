"""What clients and people get of the sign-in, as the chart configures it: a walk through a real Canaille."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.actions.users import Invited
from aiplat.shipped import shipped
from tests.services.signin.canaille import LOCK, configured, told_by

HOURS = 8 * 3600
PORTAL = {
    "id": "portal",
    "secret": "portal-secret",
    "name": "portal",
    "uri": "https://portal.ward.test",
    "redirectUris": ["https://portal.ward.test/callback"],
    "authMethod": "client_secret_basic",
    "scopes": ["openid"],
    "managesPeople": True,
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the walk saw."""
    folder = configured(tmp_path_factory.mktemp("signin"), [PORTAL])
    walked: dict[str, Any] = told_by("tests.services.signin.walk", folder)
    return walked


def test_programs_find_the_sign_in_by_its_name(seen: dict[str, Any]) -> None:
    """Issuer and endpoints are those of the site's name, whatever name a request came by."""
    found = seen["discovery"]
    assert found["issuer"] == "https://login.ward.test"
    assert all(
        found[f"{name}_endpoint"].startswith("https://login.ward.test/") for name in ("token", "userinfo")
    )


@pytest.mark.parametrize("client", ["portal", "portal-cli", "hub"])
def test_an_id_token_is_for_its_client(seen: dict[str, Any], client: str) -> None:
    """Trap: a client that is not its own audience gets tokens for nobody."""
    assert seen[f"tokens {client}"]["id"]["claims"]["aud"] == [client]


@pytest.mark.parametrize("client", ["portal", "portal-cli", "hub"])
def test_tokens_are_signed_as_programs_read_them(seen: dict[str, Any], client: str) -> None:
    """Trap: left to itself, the key decides for RS512."""
    tokens = seen[f"tokens {client}"]
    assert {tokens[kind]["header"]["alg"] for kind in ("id", "access")} == {"RS256"}


def test_a_nonce_is_not_demanded(seen: dict[str, Any]) -> None:
    """Trap: programs without one are refused by default; the walk sends none."""
    assert "code=" in seen["authorize"]


def test_each_client_authenticates_its_own_way_alone(seen: dict[str, Any]) -> None:
    """Trap: by header, in the form, or with PKCE alone; another way is refused."""
    assert {"tokens portal", "tokens hub", "tokens portal-cli"} <= seen.keys()
    assert seen["basic for post"] == 401
    assert seen["public without PKCE"] == 400


def test_tokens_live_for_a_working_day(seen: dict[str, Any]) -> None:
    """Trap: ten days, and an hour after a refresh, are the defaults."""
    tokens = seen["tokens portal"]
    for kind in ("id", "access"):
        claims = tokens[kind]["claims"]
        assert claims["exp"] - claims["iat"] == HOURS
    assert tokens["seconds"] == HOURS
    assert seen["refreshed"] == [200, HOURS]


def test_tokens_of_the_same_second_differ(seen: dict[str, Any]) -> None:
    """Trap: two tabs opened at once would otherwise end in an error, and so would an early refresh."""
    tokens = [
        seen[f"tokens {client}"]["access"]["claims"]["jti"] for client in ("portal", "portal-cli", "hub")
    ]
    assert len(set(tokens)) == 3
    assert seen["refresh token twice"] == 400


def test_a_person_is_known_by_what_never_changes(seen: dict[str, Any]) -> None:
    """Trap: by default the user name is the subject, and nothing says the user name."""
    for claims in (seen["tokens portal"]["id"]["claims"], seen["userinfo"]):
        assert claims["sub"] == seen["user id"]
        assert claims["preferred_username"] == "ada"


def test_groups_are_in_tokens_and_userinfo(seen: dict[str, Any]) -> None:
    """As a list of names, for whoever asks for that scope."""
    for claims in (seen["tokens portal"]["id"]["claims"], seen["userinfo"]):
        assert sorted(claims["groups"]) == ["member", "operator"]


def test_nobody_is_asked_for_consent(seen: dict[str, Any]) -> None:
    """Trap: only below trusted domains the code comes without a page in between."""
    assert seen["authorize"].startswith("https://portal.ward.test/callback?code=")


def test_a_strange_redirect_is_refused(seen: dict[str, Any]) -> None:
    """The browser is not sent there, not even with an error."""
    assert seen["foreign redirect"] == 400


def test_there_is_no_door_for_provisioning(seen: dict[str, Any]) -> None:
    """Trap: Canaille's SCIM server does not run with today's libraries."""
    assert seen["scim"] == 404
    assert "scim2" not in shipped(LOCK).read_text()


def test_pages_look_as_everybody_can_read_them(seen: dict[str, Any]) -> None:
    """Our colours are laid over theirs; no picture lacks a text, and scripts write no styles of their own."""
    page = seen["login page"]
    assert '<link href="/look/look.css" rel="stylesheet">' in page
    assert seen["look"] == 200
    assert "canaille-head" not in page
    assert '"includeIndicatorStyles": false' in page


def test_sign_out_ends_the_session_and_leads_back(seen: dict[str, Any]) -> None:
    """The client gets its state back; the next request for a code asks for a password."""
    assert seen["sign-out"] == [302, "https://portal.ward.test/?state=x"]
    assert seen["after sign-out"] == "/login"


def test_a_copy_of_the_cookie_opens_nothing_once_somebody_signed_out(seen: dict[str, Any]) -> None:
    """Left to itself, Canaille only takes the cookie from the browser; who signs in again is in again."""
    assert seen["copy before"] == seen["signs in again"] == "/callback"
    assert seen["copy after"] == "/login"
    assert seen["copy after logout"] in {403, 404}


def test_the_first_admin_comes_by_a_link(seen: dict[str, Any]) -> None:
    """It is made once, is signed in with the new password, and signs in with it later."""
    assert Invited.model_validate(seen["first"]).groups == ("admin",)
    assert seen["first"]["link"].startswith("https://login.ward.test/reset/admin/")
    assert seen["first again"] == {}
    assert seen["link leads to"] == "/profile/admin"
    assert seen["signed in by link"] == 200
    assert seen["signs in"] == "/"


def test_a_link_serves_once(seen: dict[str, Any]) -> None:
    """Used, guessed and superseded ones lead nowhere; a password that is too short does not use it up."""
    assert {seen[name] for name in ("wrong link", "link used twice", "older link")} == {"/"}
    assert seen["short password"] is None
    assert seen["newer link"] == 200


def test_wrong_names_and_passwords_look_alike(seen: dict[str, Any]) -> None:
    """Nobody learns who there is."""
    assert seen["no password yet"] == seen["unknown name"] == ""


def test_guessing_is_slowed(seen: dict[str, Any]) -> None:
    """After wrong passwords the right one is refused for a while, and then not."""
    assert seen["lockout"] == {"wrong": "", "counted": 1, "soon": "", "later": "/"}


def test_pages_are_for_those_whose_they_are(seen: dict[str, Any]) -> None:
    """An admin sees people and groups; nobody makes clients or people by hand."""
    assert seen["pages"] == {
        "/users": [200, 403],
        "/groups": [200, 403],
        "/profile": [302, 302],
        "/admin/client/add": [403, 403],
        "/profile/admin": [200, 404],
    }


def test_a_second_factor_can_be_demanded(seen: dict[str, Any]) -> None:
    """Codes of an app are set up at the first sign-in and asked for at the next; passkeys are asked for."""
    assert seen["second factor"] == {"before": 403, "set up": 200, "wrong code": "", "next time": "/"}
    assert seen["passkey"] == "/auth/fido2"


def test_a_removed_person_is_out(seen: dict[str, Any]) -> None:
    """Session, password, code and tokens are refused at once."""
    assert seen["removed"] == {
        "browser": "/login",
        "password": "",
        "userinfo": 401,
        "refresh": 400,
        "code": 400,
    }


def test_who_is_locked_out_is_out_until_let_in(seen: dict[str, Any]) -> None:
    """Session, password, tokens and link are refused; then the same password is good again."""
    assert seen["locked"] == {
        "state": "locked",
        "browser": "/login",
        "password": "",
        "userinfo": 401,
        "refresh": 400,
        "link": "/",
        "new link": "user eve: is locked",
        "let in": "/",
    }


def test_the_last_admin_who_can_sign_in_stays(seen: dict[str, Any]) -> None:
    """Neither removed, locked nor taken out of the group; another who never set a password does not count."""
    assert seen["last admin"] == ["is the last admin who can sign in"] * 3


def test_own_pages_change_neither_people_nor_locks_nor_the_sites_groups(seen: dict[str, Any]) -> None:
    """Whatever is posted: Canaille's rights would let anybody go, be locked and leave, the last admin too."""
    pages = seen["own pages"]
    assert [way for way, one in pages.items() if one["is so"]] == []
    led = {way for way, one in pages.items() if one["told"]}
    others = {"removes another", "locks another", "takes another out", "regroups another", "ends a group"}
    assert pages.keys() - led == {f"fay {way}" for way in others}
    assert {pages[way]["status"] for way in pages.keys() - led} == {403, 404}


def test_admins_keep_groups_for_teams_on_own_pages(seen: dict[str, Any]) -> None:
    """Made there, and people put into them."""
    assert seen["own groups"] == ["member", "nurses"]


def test_another_start_follows_the_components_and_leaves_people(seen: dict[str, Any]) -> None:
    """New secrets and addresses hold, old ones do not, a client that is gone is gone; nobody is lost."""
    moved = seen["moved"]
    assert moved["new"] == 200
    assert moved["old redirect"] == 400
    assert moved["old secret"] == 401
    assert moved["gone client"] == 404
    assert seen["people"] == ["ada", "admin", "bea", "cyd", "eve", "fay", "late"]


def test_other_groups_hold_from_the_next_token_on(seen: dict[str, Any]) -> None:
    """Somebody is put into a group by command, and the next token says so."""
    assert seen["moved"]["groups"] == [["admin"], ["admin"]]
