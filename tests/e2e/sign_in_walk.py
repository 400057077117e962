"""Signing in by name as people see it in a browser: links, passwords, second factors, and out again."""

from __future__ import annotations

import base64
import re
import time
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.e2e.browser import Window

if TYPE_CHECKING:
    from playwright.sync_api import Page


def set_password(window: Window, link: str, password: str) -> None:
    """Open a link, set the password that it asks for, and come to one's own page."""
    page = window.page
    page.goto(link)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_label("Password confirmation").fill(password)
    page.get_by_role("button", name="Password reset").click()
    page.wait_for_url("**/profile/*")


def give_password(page: Page, name: str, password: str) -> None:
    """Give name and password, one after the other, where the sign-in asks for them."""
    page.get_by_label("Login").fill(name)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("textbox", name="Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def enter(window: Window, path: str = "/") -> None:
    """Come to a page of the portal by name, as somebody whom the sign-in knows."""
    window.open(path)
    window.page.get_by_role("link", name="Sign in by name").click()
    window.page.wait_for_url(window.origin + path)


def leave(window: Window) -> None:
    """Press the portal's button, and be led by the sign-in back to where one enters."""
    window.page.get_by_role("button", name="Sign out").click()
    window.page.get_by_role("link", name="Sign in by name").wait_for()


def touch_key(window: Window, button: str) -> None:
    """Press "Register" or "Authenticate" once the page's script has heard of its button."""
    window.page.get_by_role("button", name=button).and_(
        window.page.locator("[data-initialized=true]")
    ).click()


def code_of_app(window: Window) -> TOTP:
    """Return the app that the page which is shown hands its secret to."""
    found = re.search(r"secret=([A-Z2-7]+)", window.page.content())
    assert found, window.page.url
    return TOTP(base64.b32decode(found[1] + "=" * (-len(found[1]) % 8)), 6, SHA1(), 30)  # noqa: S303 - RFC 6238


def give_code(window: Window, app: TOTP) -> None:
    """Give the code of now."""
    window.page.locator("input[name=otp]").fill(app.generate(int(time.time())).decode())
    window.page.get_by_role("button", name="Verify").click()
