"""The portal as people see it in a browser: the same walk on this machine alone and on a lab host."""

from __future__ import annotations

from aiplat.services.portal.paths import PAGES
from aiplat.services.store.keys import Role, reaches
from tests.e2e.browser import DESK, PHONE, Window
from tests.patience import eventually

OK, REFUSED = 200, 403
_WATCH = """() => {
  window.grown = 0;
  const answers = document.getElementById("answers");
  const seen = () => { window.grown += answers.querySelector(".answer").textContent !== ""; };
  new MutationObserver(seen).observe(answers, {subtree: true, childList: true, characterData: true});
  // Both may come within a moment: the button is closed while answers come, and open after them.
  window.whole = false;
  const button = document.querySelector("#playground button");
  const ended = () => { window.whole = !button.disabled; };
  new MutationObserver(ended).observe(button, {attributeFilter: ["disabled"]});
}"""


def sign_in(window: Window, key: str) -> None:
    """Enter a key on the page that asks for it."""
    window.open("/sign-in")
    window.page.get_by_label("Your API key").fill(key)
    window.page.get_by_role("button", name="Sign in").click()
    window.page.wait_for_url(f"{window.origin}/")


def sign_out(window: Window) -> None:
    """Press the button that every page has."""
    window.page.get_by_role("button", name="Sign out").click()
    window.page.wait_for_url(f"{window.origin}/sign-in")


def faults_of_menu(window: Window, role: Role | None) -> list[str]:
    """Compare the menu of the page that is shown with what a role may see."""
    links = window.page.get_by_role("navigation").get_by_role("link").all()
    shown = [link.get_attribute("href") for link in links]
    return (
        [] if shown == [p.path for p in PAGES if role and reaches(role, p.role)] else [f"the menu is {shown}"]
    )


def faults_of_pages(window: Window, role: Role | None) -> list[str]:
    """Visit every page; returns what is shown to whom it is not for, and what is wrong with what is shown."""
    faults = []
    for page in PAGES:
        status = window.open(page.path).status
        if role is None and "/sign-in" in window.page.url:
            continue
        if not role or not reaches(role, page.role):
            faults += [] if status == REFUSED else [f"{page.path} answers {role} with {status}"]
        elif status != OK or not window.page.get_by_role("heading", name=page.question).is_visible():
            faults.append(f"{page.path} answers {role} with {status}")
        faults += [f"{page.path}: {fault}" for fault in faults_of_look(window)]
    if role is None:
        faults += faults_of_look(window)
    return faults + window.complaints + window.elsewhere()


def faults_of_look(window: Window) -> list[str]:
    """Look at a page by keyboard, on a desk and a phone, light and dark, with axe."""
    window.unfold()
    faults = [f"by keyboard nobody comes to {element}" for element in window.not_reached()]
    for size in (PHONE, DESK):
        window.resize(size)
        faults += [f"{colours}: {fault}" for colours in ("dark", "light") for fault in window.grave(colours)]
        if beyond := window.sideways():
            faults.append(f"at {size['width']} pixels the page is {beyond} wider")
    return faults


def answers_to(window: Window, question: str, model: str, other: str = "") -> dict[str, str]:
    """Ask in the playground; returns each model's answer once it is whole."""
    window.open("/playground")
    page = window.page
    page.get_by_label("Model", exact=True).select_option(model)
    page.get_by_label("Beside it").select_option(other)
    page.get_by_label("Temperature").fill("0")
    page.get_by_label("Most tokens").fill("24")
    page.get_by_label("Your question").fill(question)
    page.evaluate(_WATCH)
    page.get_by_role("button", name="Ask").click()
    eventually(lambda: bool(page.evaluate("window.whole")))
    names = page.locator("#answers h2").all_inner_texts()
    return dict(zip(names, page.locator("#answers .answer").all_inner_texts(), strict=True))


def times_grown(window: Window) -> int:
    """Return how many times the first answer was seen to have grown."""
    return int(window.page.evaluate("window.grown"))
