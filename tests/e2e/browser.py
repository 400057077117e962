"""Debian's Chromium driven by Playwright: what pages ask for and complain of, what axe finds in them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.patience import PATIENCE, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response

DESK = {"width": 1200, "height": 700}
PHONE = {"width": 360, "height": 740}
_REFUSED = re.compile(r"the server responded with a status of (401|403|422|502)")
# Chromium gives up requests when its own machine gets a network or loses one, as beside another lab.
_MOVED = "net::ERR_NETWORK_CHANGED"
GRAVE = {"serious", "critical"}
_FOCUSABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']"
# Numbers everything that can be used and is seen, so that the walk by keyboard can name what it came to.
_NUMBERED = f"""() => [...document.querySelectorAll("{_FOCUSABLE}")]
  .filter(e => !e.disabled && e.checkVisibility())
  .map((e, number) => e.dataset.walk = String(number))"""
_AT = "() => document.activeElement.dataset.walk ?? document.activeElement.tagName"
_UNFOLDED = "() => document.querySelectorAll('details').forEach(e => e.open = true)"
_OUTLINED = "() => getComputedStyle(document.activeElement).outlineStyle !== 'none'"
_SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
_DISTRUST = """document.addEventListener("securitypolicyviolation",
  e => console.error(`Content-Security-Policy: ${e.violatedDirective} ${e.blockedURI}`))"""


def chromium() -> str:
    """Return Debian's Chromium; where it or its driver is missing, fail with how to get them."""
    found = shutil.which("chromium")
    assert found, "there is no Chromium: apt-get install --no-install-recommends chromium fonts-dejavu-core"
    for name in ("playwright", "axe_playwright_python"):
        assert importlib.util.find_spec(name), f"{name} is not in the environment: make browser"
    return found


def key_of(certificate: str) -> str:
    """Return the hash by which Chromium is told to trust the key of a certificate (PEM)."""
    public = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    told = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(told).digest()).decode()


class Window:
    """One window of a visitor, with cookies of its own; `origin` is the site that it visits.

    `neighbours` are origins of the same site, where the visitor is led to sign in.
    """

    def __init__(
        self, browser: Browser, origin: str, neighbours: tuple[str, ...] = (), **options: Any
    ) -> None:
        self.origin = origin
        self._own = tuple(f"{one}/" for one in (origin, *neighbours))
        self._context = browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce", **options})
        self._context.set_default_timeout(PATIENCE * 1000)
        self._context.add_init_script(_DISTRUST)
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = self._context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: self._hear(said.type, said.text))

    def open(self, path: str) -> Response:
        """Go to a page of the site and return what was answered in the end."""
        return until(lambda: self._answer(path))

    def _answer(self, path: str) -> Response | None:
        from playwright.sync_api import Error  # noqa: PLC0415 - only where there is a browser

        try:
            answer = self.page.goto(self.origin + path)
        except Error as error:
            if _MOVED not in str(error):
                raise
            return None
        assert answer is not None, path
        return answer

    def elsewhere(self) -> list[str]:
        """Return what was asked for that does not lie at the site."""
        return [url for url in self.asked if not url.startswith((*self._own, "data:"))]

    def resize(self, size: Mapping[str, int]) -> None:
        """Make the window as large as a desk's or a phone's."""
        self.page.set_viewport_size({"width": size["width"], "height": size["height"]})

    def grave(self, colours: Literal["light", "dark"]) -> list[str]:
        """Return what axe finds on the page, light or dark, that keeps people from using it."""
        self.page.emulate_media(color_scheme=colours)
        from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 - only where there is a browser

        found = Axe().run(self.page).response["violations"]
        return [
            f"{f['id']} ({f['impact']}): {n['html'][:200]}"
            for f in found
            for n in f["nodes"]
            if f["impact"] in GRAVE
        ]

    def sideways(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        return int(self.page.evaluate(_SIDEWAYS))

    def not_reached(self) -> list[str]:
        """Walk the page by the Tab key; returns what it does not come to, or comes to unseen."""
        left = set(self.page.evaluate(_NUMBERED))
        faults = []
        for _ in range(3 * len(left)):
            self.page.keyboard.press("Tab")
            at = self.page.evaluate(_AT)
            if at in left and not self.page.evaluate(_OUTLINED):
                faults.append(f"{self._html(at)} has no outline")
            left.discard(at)
        return faults + [self._html(number) for number in sorted(left)]

    def unfold(self) -> None:
        """Open what the page shows on request."""
        self.page.evaluate(_UNFOLDED)

    def picture(self, file: Path) -> None:
        """Keep what the window shows."""
        self.page.screenshot(path=file, animations="disabled", caret="hide")

    def close(self) -> None:
        """Forget the visitor."""
        self._context.close()

    def copied(self, browser: Browser) -> Window:
        """Return a window of somebody who took a copy of all cookies."""
        return Window(browser, self.origin, storage_state=self._context.storage_state())

    def key_at_hand(self) -> None:
        """Put a security key into the machine, which its owner touches whenever it is asked for."""
        session = self._context.new_cdp_session(self.page)
        session.send("WebAuthn.enable")
        kind = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        session.send("WebAuthn.addVirtualAuthenticator", {"options": kind})

    def cookies(self) -> dict[str, str]:
        """Return the cookies that the browser keeps."""
        return {cookie["name"]: cookie["value"] for cookie in self._context.cookies()}

    def _html(self, number: str) -> str:
        return str(self.page.evaluate(f"document.querySelector('[data-walk=\"{number}\"]').outerHTML"))

    def _hear(self, kind: str, text: str) -> None:
        # What is refused says so by its status, and on the page; Chromium writes it there too.
        if kind == "error" and _MOVED not in text and not _REFUSED.search(text):
            self.complaints.append(text)


@contextlib.contextmanager
def started(*flags: str, authority: Path | None = None) -> Iterator[Browser]:
    """Run a browser until the block ends; it knows no names but this machine's and those of `flags`.

    It trusts a CA (the certificate at `authority`) as people's browsers do who were told to, and nobody else.
    """
    program = chromium()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - not in everybody's environment

    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        if authority:
            _trust(Path(home), authority)
        environment = {**os.environ, "HOME": home}
        browser = playwright.chromium.launch(executable_path=program, args=list(flags), env=environment)
        try:
            yield browser
        finally:
            browser.close()


def _trust(home: Path, authority: Path) -> None:
    """Put a CA into the database in which Chromium looks for those that its user trusts."""
    program = shutil.which("certutil")
    assert program, "there is no certutil: apt-get install --no-install-recommends libnss3-tools"
    folder = home / ".pki" / "nssdb"
    folder.mkdir(parents=True)
    for words in (("-N", "--empty-password"), ("-A", "-n", "site", "-t", "C,,", "-i", str(authority))):
        subprocess.run([program, "-d", f"sql:{folder}", *words], check=True, capture_output=True)
