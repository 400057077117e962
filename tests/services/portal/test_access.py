"""Who sees which page of the portal, and what nobody sees."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from fastapi.openapi.utils import get_openapi

from aiplat.services.portal.app import create_app
from aiplat.services.portal.paths import FORMS, OPEN, PAGES, READ, STREAMED
from aiplat.services.portal.visitors import IDLE_SECONDS, SESSION_SECONDS, Seal, Session
from aiplat.services.store.keys import Role, reaches
from tests.services.portal.conftest import HOST, TOKEN, Site

ROLES: tuple[tuple[str, Role], ...] = (("admin", "admin"), ("operator", "operator"), ("red", "member"))
NOW = 1_800_000_000


class Sources(HTMLParser):
    """What a page loads or leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note addresses, and whatever the page's policy would not let run."""
        given = dict(attrs)
        self.found += [str(given[name]) for name in ("src", "href", "action") if given.get(name)]
        self.inline |= "style" in given or any(name.startswith("on") for name in given)
        self.inline |= tag == "style" or (tag == "script" and "src" not in given)


@pytest.mark.parametrize(("who", "role"), ROLES)
@pytest.mark.parametrize("path", sorted(READ))
def test_a_page_is_shown_to_those_who_have_its_role_and_refused_to_others(
    site: Site, who: str, role: Role, path: str
) -> None:
    """Every page is asked for by every role."""
    answer = site.browser(who).get(path)
    assert answer.status_code == (200 if reaches(role, READ[path]) else 403), answer.text


@pytest.mark.parametrize("path", sorted(READ))
def test_nobody_sees_a_page_without_signing_in(site: Site, path: str) -> None:
    """Whoever has no session is led to where one signs in."""
    answer = site.browser().get(path)
    assert answer.url.path == "/sign-in"
    assert "Your API key" in answer.text


@pytest.mark.parametrize("path", sorted(set(FORMS)))
def test_a_form_is_refused_without_a_session_or_without_its_token(site: Site, path: str) -> None:
    """Another site that has a browser send a form knows no token."""
    assert site.browser().post(path, {}).status_code == 401
    assert site.browser("admin").post(path, {"token": "guessed"}).status_code == 403


@pytest.mark.parametrize("path", sorted(set(FORMS) | {"/sign-in"}))
def test_a_form_that_a_browser_sends_from_elsewhere_is_refused(site: Site, path: str) -> None:
    """Its Origin says so, whatever cookie and token come with it."""
    answer = site.browser("admin").post(path, {}, headers={"origin": "https://elsewhere.test"})
    assert answer.status_code == 403
    assert answer.text.startswith("This form was not sent from the portal. (request ")


@pytest.mark.parametrize("path", sorted(p for p, role in FORMS.items() if role == "admin"))
def test_a_member_sends_no_form_of_an_admin(site: Site, path: str) -> None:
    """The role is asked before the form is read."""
    assert site.browser("red").send(path, name="x", key="x").status_code == 403


def test_every_route_of_the_application_stands_in_the_list_of_paths(site: Site) -> None:
    """A page that is forgotten there would be answered to nobody, one that is only there by a 404."""
    app = create_app(site.portal)
    while not hasattr(app, "routes"):
        app = app._app  # type: ignore[attr-defined]
    described = get_openapi(title="portal", version="1", routes=app.routes)["paths"]
    routes = {(method.upper(), path) for path, methods in described.items() for method in methods}
    listed = {("GET", path) for path in set(READ) | set(STREAMED) | OPEN} | {
        ("POST", path) for path in set(FORMS) | {"/sign-in"}
    }
    assert routes == listed


def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(site: Site) -> None:
    """All that a page names lies on this host, and its policy lets nothing else in."""
    browser = site.browser("admin")
    for page in PAGES:
        answer, sources = browser.get(page.path), Sources()
        sources.feed(answer.text)
        assert not sources.inline, page.path
        assert [s for s in sources.found if not s.startswith(("/", "#")) and s != "data:,"] == []
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]


def test_a_page_is_read_by_its_marks(site: Site) -> None:
    """A heading, a language, a label for every field, a row or column for every head of a table."""
    browser = site.browser("admin")
    for page in PAGES:
        text = browser.get(page.path).text
        assert text.count("<h1>") == 1, page.path
        assert '<html lang="en">' in text
        assert "<th>" not in text, page.path
        for field in re.findall(r'<(?:input|select|textarea) id="([^"]+)"', text):
            assert f'<label for="{field}">' in text, (page.path, field)


def test_no_route_of_the_api_beside_the_pages_answers_without_a_key(site: Site) -> None:
    """All that it describes is asked for; it says that it is well, and nothing else."""
    browser, key = site.browser(), {"authorization": f"Bearer {site.people.secrets['red']}"}
    described = browser.get("/api/v1/openapi.json", headers=key).json()["paths"]
    answers = {
        (method, path): browser.request(method, path.replace("{", "").replace("}", "")).status_code
        for path, methods in described.items()
        for method in methods
    }
    assert answers.pop(("get", "/api/v1/health")) == 200
    assert len(answers) > 20
    assert set(answers.values()) == {401}


@pytest.mark.parametrize(
    ("who", "path", "said"),
    [("red", "/people", "This needs the role admin"), ("red", "/nothing", "There is no such page.")],
)
def test_who_is_refused_is_told_on_a_page_that_leads_on(site: Site, who: str, path: str, said: str) -> None:
    """A person gets the menu of what there is; a script gets the sentence."""
    browser = site.browser(who)
    page = browser.get(path, headers={"accept": "text/html"})
    assert page.status_code in {403, 404}
    assert said in page.text
    assert '<a href="/mine">' in page.text
    assert said in browser.get(path).text.splitlines()[0]


def test_a_form_of_a_session_that_is_over_leads_to_where_one_signs_in(site: Site) -> None:
    """With what a browser without script shows."""
    answer = site.browser().post("/playground", {}, headers={"accept": "text/html"})
    assert answer.status_code == 401
    assert "Your session is over" in answer.text
    assert '<a href="/sign-in">' in answer.text


def test_signing_out_ends_the_session(site: Site) -> None:
    """The browser forgets it, and the next page asks for a key."""
    browser = site.browser("red")
    assert browser.send("/sign-out").url.path == "/sign-in"
    assert browser.get("/mine").url.path == "/sign-in"


def test_a_copy_of_the_cookie_opens_nothing_once_somebody_signed_out(site: Site) -> None:
    """Neither the newest cookie nor an older one of the session; another session of the key is still good."""
    browser, elsewhere = site.browser("red"), site.browser("red")
    copies = [dict(browser.client.cookies)]
    browser.get("/mine")
    copies.append(dict(browser.client.cookies))
    browser.send("/sign-out")
    for copied in copies:
        thief = site.browser()
        thief.client.cookies.update(copied)
        assert thief.get("/mine").url.path == "/sign-in"
    assert elsewhere.get("/mine").url.path == "/mine"


def test_a_session_ends_with_its_key(site: Site) -> None:
    """A key that an admin revokes shows no page any more."""
    browser = site.browser("spare")
    assert site.browser("admin").send("/people/revoke", key=site.people.ids["spare"]).status_code == 200
    assert browser.get("/mine").url.path == "/sign-in"


def test_a_secret_that_is_only_good_for_a_while_signs_nobody_in(site: Site) -> None:
    """Whoever took a key could take the new one over with it, while the owner's programs change."""
    thief = site.browser("red")
    who, how = site.people.ids["red"], {"graceSeconds": 3600}
    headers = {"Authorization": f"Bearer {site.people.secrets['admin']}"}
    rotated = site.browser().post_json(f"/api/v1/keys/{who}/rotate", how, headers=headers)
    assert rotated.status_code == 200, rotated.text
    assert thief.get("/mine").url.path == "/sign-in"
    assert thief.post("/mine/rotate", {}).status_code == 401


def test_cookies_of_neighbours_break_nothing(site: Site) -> None:
    """A page of another name under the domain may set any cookie for all of it."""
    browser = site.browser("red")
    session = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    browser.client.cookies.clear()
    odd = {"cookie": f'a@b=1; {{"x"}}=2; foo; {session}'}
    assert browser.get("/mine", headers=odd).url.path == "/mine"


def test_a_form_of_too_many_fields_is_bad_input(site: Site) -> None:
    """It is said, and nothing breaks."""
    fields = {f"f{number}": "x" for number in range(70)}
    assert site.browser().post("/sign-in", fields, headers={"origin": HOST}).status_code == 422


def test_an_unknown_key_begins_no_session(site: Site) -> None:
    """The page says that it does not know it, and not what was entered."""
    answer = site.browser().sign_in("sk-aiplat-not-one-of-ours")
    assert answer.status_code == 403
    assert "not known" in answer.text
    assert "not-one-of-ours" not in answer.text


@pytest.mark.parametrize("then", ["https://elsewhere.test/", "//elsewhere.test", "/sign-in", "/nothing"])
def test_signing_in_leads_to_a_page_of_the_portal_alone(site: Site, then: str) -> None:
    """A link somebody sent leads nowhere else."""
    form = {"key": site.people.secrets["red"], "then": then}
    assert site.browser().post("/sign-in", form, headers={"origin": HOST}).url == f"{HOST}/"


def test_no_page_holds_the_key_of_who_is_signed_in(site: Site) -> None:
    """Neither does the cookie, for who cannot open it."""
    browser = site.browser("admin")
    for page in PAGES:
        assert site.people.secrets["admin"] not in browser.get(page.path).text
    cookie = browser.client.cookies["__Host-aiplat-portal"]
    assert site.people.secrets["admin"] not in cookie


def test_the_cookie_is_for_this_host_over_tls_and_not_for_scripts(site: Site) -> None:
    """Its flags say so."""
    answer = site.browser().post("/sign-in", {"key": site.people.secrets["red"]}, follow_redirects=False)
    flags = answer.headers["set-cookie"].lower()
    assert flags.startswith("__host-aiplat-portal=")
    assert {"httponly", "secure", "path=/", "samesite=lax"} <= {flag.strip() for flag in flags.split(";")}


@pytest.mark.parametrize(("began", "used"), [(0, IDLE_SECONDS), (SESSION_SECONDS, 0)])
def test_a_session_that_was_idle_or_went_on_for_too_long_is_over(began: int, used: int) -> None:
    """Both limits are judged by the clock of the portal."""
    seal = Seal("a token")
    assert seal.opened(seal.closed(Session("sk", NOW - began + 1, NOW - used + 1, "t")), NOW)
    assert seal.opened(seal.closed(Session("sk", NOW - began, NOW - used, "t")), NOW) is None


def test_a_cookie_that_was_altered_or_sealed_elsewhere_is_none() -> None:
    """Another site's token opens nothing."""
    sealed = Seal("a token").closed(Session.begin("sk", NOW))
    assert Seal("another token").opened(sealed, NOW) is None
    assert Seal("a token").opened(sealed[:-8] + "AAAAAAA=", NOW) is None
    assert Seal("a token").opened("", NOW) is None


def test_a_body_that_is_too_long_is_refused(site: Site) -> None:
    """Nobody fills the portal's memory by a form."""
    browser = site.browser("red")
    token = TOKEN.search(browser.get("/mine").text)
    assert token
    answer = browser.post(
        "/playground", {"token": token[1], "prompt": "x" * (65 << 10)}, headers={"origin": HOST}
    )
    assert answer.status_code == 413
