"""The front door in a real browser on a lab host: links, names, each role's pages, second factors, mail."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aiplat.services.store.keys import Role
from tests.e2e.browser import DESK, PHONE, Window, started
from tests.e2e.journey import SITES, Journey, site_to_change
from tests.e2e.portal_walk import faults_of_menu, faults_of_pages
from tests.e2e.sign_in_walk import (
    code_of_app,
    enter,
    give_code,
    give_password,
    leave,
    set_password,
    touch_key,
)
from tests.patience import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.lab, pytest.mark.journey]
ADDRESS, DOMAIN = "10.97.107.11", "ward.example"
LOGIN, PORTAL, PAGES = (f"https://{name}.{DOMAIN}" for name in ("login", "portal", "metrics"))
PASSWORD = "correct horse battery"
MAIL_PORT = 2525
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
PICTURE_BYTES = 150_000
PEOPLE: dict[str, Role] = {"admin": "admin", "ola": "operator", "mia": "member"}
# Of the sign-in's own pages: who may see which; another's profile is not there for who may not.
OWN_PAGES = {
    "/users": {"admin"},
    "/groups": {"admin"},
    "/profile/admin": {"admin"},
    "/profile/mia": {"admin", "mia"},
}
USABLE = ("/profile/mia", "/profile/mia/settings", "/profile/mia/auth", "/consent/", "/about")
DASHBOARD = "/graph?g0.expr=up%2F2&g0.tab=1"


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[Path], Journey], tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """A lab host, whose site file changes on the way."""
    return make_journey(site_to_change("sign-in-browser", tmp_path_factory.mktemp("site")))


@pytest.fixture(scope="module")
def link(ward: Journey) -> str:
    """The link that the first bootstrap ends with."""
    return ward.first_link(LOGIN)


@pytest.fixture(scope="module")
def browser(ward: Journey, link: str) -> Iterator[Browser]:
    """A browser that knows the site's names and trusts its CA, as people's do."""
    names = f"--host-resolver-rules=MAP *.{DOMAIN} {ADDRESS}, MAP * ~NOTFOUND, EXCLUDE {ADDRESS}"
    with started(names, authority=ward.state / "aiplat" / "sites" / ward.name / "ca.crt") as browser:
        yield browser


def stranger(browser: Browser, **options: Any) -> Window:
    """Return a window in which nobody is signed in."""
    return Window(browser, PORTAL, (LOGIN, PAGES), **options)


@pytest.fixture(scope="module")
def windows(browser: Browser) -> Iterator[dict[str, Window]]:
    """Everybody's windows, by name; who has none yet opens one by a link."""
    found: dict[str, Window] = {}
    yield found
    for window in found.values():
        window.close()


def add(ward: Journey, name: str, *words: str) -> str:
    """Add somebody and return the link that is handed over."""
    done = ward.aiplat("users", "add", name, *words, str(ward.site_file), "--json")
    return str(json.loads(done.stdout)["link"])


def again(window: Window, name: str, path: str = "/") -> None:
    """Go to a page as a stranger, and give name and password; what follows is the caller's."""
    window.open(path)
    window.page.get_by_role("link", name="Sign in by name").click()
    give_password(window.page, name, PASSWORD)


def test_the_first_admin_opens_the_link_sets_a_password_and_is_in(
    browser: Browser, link: str, windows: dict[str, Window]
) -> None:
    """The portal is one click away from there; the link leads nobody in twice."""
    window = windows["admin"] = stranger(browser)
    window.page.goto(link)
    assert _seen(window) == []
    window.picture(PICTURES / "sign-in-first-link.png")
    set_password(window, link, PASSWORD)
    enter(window, "/people")
    assert window.page.get_by_text("admin · admin").is_visible()
    other = stranger(browser)
    other.page.goto(link)
    assert other.page.url == f"{LOGIN}/login"
    other.close()


def test_a_second_and_a_third_person_come_by_links_of_their_own(
    ward: Journey, browser: Browser, windows: dict[str, Window]
) -> None:
    """An operator and a member: each sets a password and enters the portal as what the groups say."""
    for name, role in list(PEOPLE.items())[1:]:
        given = add(ward, name, "--group", role, "--email", f"{name}@{DOMAIN}")
        window = windows[name] = stranger(browser)
        set_password(window, given, PASSWORD)
        enter(window)
        assert window.page.get_by_text(f"{name} · {role}").is_visible()
    admin = windows["admin"]
    admin.open("/people")
    admin.page.get_by_text("mia").first.wait_for()


@pytest.mark.parametrize("name", [*PEOPLE, None])
def test_every_page_of_the_portal_is_for_who_it_is_for_and_good_to_use(
    browser: Browser, windows: dict[str, Window], name: str | None
) -> None:
    """By keyboard, on a phone, light and dark, for axe; all comes from the site, no policy is broken."""
    window = windows[name] if name else stranger(browser)
    role = PEOPLE[name] if name else None
    if role:
        window.open("/")
        assert faults_of_menu(window, role) == []
    assert faults_of_pages(window, role) == []


@pytest.mark.parametrize("name", PEOPLE)
def test_the_sign_ins_own_pages_are_for_who_they_are_for(windows: dict[str, Window], name: str) -> None:
    """Admins see people and groups; everybody sees oneself; nobody makes clients by hand."""
    page = windows[name].page
    for path, who in OWN_PAGES.items():
        answer = page.goto(LOGIN + path)
        assert answer
        assert (answer.status == 200) is (name in who), (path, answer.status)
    answer = page.goto(f"{LOGIN}/admin/client/add")
    assert answer
    assert answer.status == 403


def test_what_everybody_uses_of_the_sign_in_is_good_to_use(
    browser: Browser, windows: dict[str, Window]
) -> None:
    """Name, password and one's own pages: on a phone, light and dark, for axe; all comes from the site."""
    new, mia = stranger(browser), windows["mia"]
    new.open("/sign-in/by-name")
    faults = _seen(new)
    new.picture(PICTURES / "sign-in-name.png")
    new.page.get_by_label("Login").fill("mia")
    new.page.get_by_role("button", name="Continue").click()
    new.page.get_by_role("textbox", name="Password").wait_for()
    faults += _seen(new)
    for path in USABLE:
        mia.page.goto(LOGIN + path)
        faults += _seen(mia)
    for path in ("/users", "/groups", "/profile/mia/settings"):
        windows["admin"].page.goto(LOGIN + path)
        faults += _seen(windows["admin"])
    # Its scripts write of their own troubles to the console: what the site's policies refuse counts.
    said = [line for line in mia.complaints + new.complaints if "Content-Security-Policy" in line]
    assert faults + said == []
    assert mia.elsewhere() + new.elsewhere() == []
    new.close()


def _seen(window: Window) -> list[str]:
    """Look at a page that is not ours by eye and by axe; its keyboard is Canaille's."""
    grave = [fault for colours in ("dark", "light") for fault in window.grave(colours)]  # type: ignore[arg-type]
    window.resize(PHONE)
    beyond = window.sideways()
    window.resize(DESK)
    return [f"{window.page.url}: {fault}" for fault in [*grave, *([f"{beyond} wider"] if beyond else [])]]


def test_a_page_that_signs_nobody_in_leads_back_to_what_was_asked_for(
    browser: Browser, windows: dict[str, Window]
) -> None:
    """A stranger signs in on the way and lands on the page, query and all; a member is refused."""
    new = stranger(browser)
    new.page.goto(PAGES + DASHBOARD)
    give_password(new.page, "ola", PASSWORD)
    new.page.wait_for_url(f"{PAGES}/graph**")
    assert "g0.expr=up%2F2" in new.page.url
    new.close()
    for name, status in (("admin", 200), ("mia", 403)):
        answer = windows[name].page.goto(f"{PAGES}/-/healthy")
        assert answer
        assert answer.status == status, name


def test_signing_out_ends_the_session_everywhere(browser: Browser, windows: dict[str, Window]) -> None:
    """A copy of the cookies, taken before, opens nothing of the portal; the sign-in asks for the password."""
    window = windows["admin"]
    window.open("/people")
    copy = window.copied(browser)
    assert copy.open("/people").url == f"{PORTAL}/people"
    leave(window)
    assert [name for name in window.cookies() if "portal" in name] == []
    assert copy.open("/people").url == f"{PORTAL}/sign-in?then=/people"
    copy.page.get_by_role("link", name="Sign in by name").click()
    copy.page.get_by_label("Login").wait_for()
    again(window, "admin", "/people")
    window.page.wait_for_url(f"{PORTAL}/people")
    copy.close()


def test_pictures_of_the_pages_are_kept_for_the_documents(browser: Browser) -> None:
    """The portal as somebody sees it who came by name, also on a phone; each small enough."""
    phone = stranger(browser, viewport=PHONE)
    again(phone, "mia")
    phone.page.wait_for_url(f"{PORTAL}/")
    phone.open("/mine")
    phone.picture(PICTURES / "sign-in-mine-phone.png")
    phone.close()
    sizes = {file.name: file.stat().st_size for file in PICTURES.glob("sign-in-*.png")}
    assert len(sizes) == 3
    assert {name: size for name, size in sizes.items() if size > PICTURE_BYTES} == {}


def configured(ward: Journey, factor: str) -> None:
    """Have the site demand a second factor, and send mail to a server on the lab's host."""
    values = {
        "factors": ["password", factor],
        "mail": {"host": ADDRESS, "port": MAIL_PORT, "from": f"login@{DOMAIN}"},
        "egressTo": [{"cidr": f"{ADDRESS}/32", "port": MAIL_PORT}],
    }
    site = (SITES / "sign-in-browser.yaml").read_text()
    demanding = f"canaille: {json.dumps({'state': 'on', 'values': values})}"
    ward.site_file.write_text(site.replace("canaille: {state: on}", demanding))
    done = ward.bootstrap()
    assert done["state"] == "done", done
    assert [c["sentence"] for c in done["checks"] if c["result"] == "FAIL"] == []


def test_a_passkey_is_made_at_the_next_sign_in_and_asked_for_from_then_on(
    ward: Journey, browser: Browser
) -> None:
    """By Chromium's authenticator; a browser without that key does not get in."""
    configured(ward, "fido2")
    window, other = stranger(browser), stranger(browser)
    window.key_at_hand()
    again(window, "ola")
    touch_key(window, "Register")
    window.page.wait_for_url(f"{PORTAL}/")
    leave(window)
    again(window, "ola")
    touch_key(window, "Authenticate")
    window.page.wait_for_url(f"{PORTAL}/")
    other.key_at_hand()
    again(other, "ola")
    touch_key(other, "Authenticate")
    other.page.locator("#webauthn-authenticate").wait_for()
    assert other.open("/mine").url == f"{PORTAL}/sign-in?then=/mine"
    window.close()
    other.close()


def test_a_code_of_an_app_is_set_up_at_the_next_sign_in_and_asked_for_from_then_on(
    ward: Journey, browser: Browser
) -> None:
    """A wrong one leads nowhere."""
    configured(ward, "otp")
    window = stranger(browser)
    again(window, "mia")
    app = code_of_app(window)
    give_code(window, app)
    window.page.wait_for_url(f"{PORTAL}/")
    leave(window)
    again(window, "mia")
    window.page.locator("input[name=otp]").fill("000000")
    window.page.get_by_role("button", name="Verify").click()
    window.page.get_by_text("is invalid").first.wait_for()
    give_code(window, app)
    window.page.wait_for_url(f"{PORTAL}/")
    window.close()


def test_who_forgot_the_password_gets_a_link_by_mail(ward: Journey, browser: Browser) -> None:
    """To the address that is known of the person, from the one that the site names."""
    told = "/run/mail.log"
    sink = f"python3 -u -W ignore -m smtpd -n -c DebuggingServer 0.0.0.0:{MAIL_PORT}"
    ward.on_host(f"systemd-run --unit mail --collect -p StandardOutput=file:{told} {sink}")
    eventually(lambda: ward.on_host(f"ss -Hltn sport = :{MAIL_PORT}") != "")
    window = stranger(browser)
    window.page.goto(f"{LOGIN}/reset")
    window.page.get_by_label("Login").fill("ola")
    window.page.get_by_role("button", name="Send", exact=True).click()
    eventually(lambda: "/reset/ola/" in ward.on_host(f"cat {told}"))
    # The sink writes each line as Python does; long ones are folded.
    mail = re.sub(r"=['\"]\nb['\"]", "", ward.on_host(f"cat {told}"))
    assert f"login@{DOMAIN}" in mail
    assert f"ola@{DOMAIN}" in mail
    found = re.search(rf"{LOGIN}/reset/ola/[\w-]+", mail)
    assert found, mail
    window.page.goto(found[0])
    window.page.get_by_label("Password", exact=True).wait_for()
    window.close()
