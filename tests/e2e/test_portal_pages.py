"""The portal in a real browser, on this machine alone: every page for every role, and what people do."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest
import uvicorn

from aiplat.cluster.raw import RawObjects
from aiplat.cluster.run_reports import ReportShelf
from aiplat.services.portal.app import create_app
from aiplat.services.portal.cluster import ClusterSeen, NodeSeen
from aiplat.services.portal.gateway import Gateway
from aiplat.services.portal.logs import LogsLook, PodsOf
from aiplat.services.portal.runs import RunsLook
from aiplat.services.store.database import Database
from aiplat.services.store.keys import Role
from tests.cluster import kube as given
from tests.cluster.kube import Kube
from tests.e2e.browser import Window, started
from tests.e2e.portal_walk import (
    answers_to,
    faults_of_menu,
    faults_of_pages,
    sign_in,
    sign_out,
)
from tests.patience import PATIENCE, eventually
from tests.ports import free_port
from tests.services.api.conftest import People
from tests.services.gateway.alone import Alone, alone
from tests.services.gateway.conftest import MODEL
from tests.services.gateway.engine import Engine
from tests.services.portal.conftest import NAMESPACE, READY, SERVING, portal_over
from tests.services.portal.test_logs import line
from tests.services.portal.test_runs import AT_WORK, DONE, EARLIER, EVENT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.lab, pytest.mark.journey]
ROLES: tuple[tuple[str | None, Role | None], ...] = (
    ("admin", "admin"),
    ("operator", "operator"),
    ("red", "member"),
    (None, None),
)
SECRET = re.compile(r"sk-aiplat-[A-Za-z0-9_-]+")
REFUSED = SERVING.model_copy(
    update={"name": "large", "served_as": "large:70b", "state": "Refused", "message": "asks 2 nvidia.com/gpu"}
)
LOST = NodeSeen("a1", ready=False, message="kubelet stopped posting node status", version="", cordoned=False)


@contextmanager
def served(gateway: Alone, objects: RawObjects) -> Iterator[str]:
    """Run a portal in a thread until the block ends; yields its origin."""
    port = free_port()
    places = {"gateway": PodsOf("aiplat-access", "app.kubernetes.io/instance=gateway")}
    portal = replace(
        portal_over(
            Database.open(gateway.database_url),
            Gateway(f"{gateway.url}/v1"),
            lambda: ClusterSeen((SERVING, REFUSED), (READY, LOST)),
        ),
        runs=RunsLook(objects, NAMESPACE, ("aiplat-access",)),
        logs=LogsLook(objects, places),
    )
    settings = uvicorn.Config(create_app(portal), port=port, lifespan="off", ws="none", log_config=None)
    going = uvicorn.Server(settings)
    thread = threading.Thread(target=going.run)
    thread.start()
    try:
        eventually(lambda: going.started)
        yield f"http://localhost:{port}"
    finally:
        going.should_exit = True
        thread.join(PATIENCE)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    """Those who visit."""
    return People(f"sqlite:///{tmp_path_factory.mktemp('people') / 'accounts.db'}")


@pytest.fixture(scope="module")
def gateway(people: People, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """A gateway that knows everybody's keys, in front of an engine."""
    folder = tmp_path_factory.mktemp("gateway")
    with Engine() as engine, alone(folder, engine, people.copied_to(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def kube() -> Iterator[Kube]:
    """A cluster in which a pod of the gateway writes, with an event."""
    kube = Kube()
    labels = {"app.kubernetes.io/instance": "gateway"}
    kube.lists["pods"].append(given.pod("gateway-1", "aiplat-access", labels, "i"))
    kube.lists["events"].append(EVENT)
    kube.logs["gateway-1"] = "".join(line(f"INFO request {number}", 60) for number in range(60))
    with kube:
        yield kube


@pytest.fixture(scope="module")
def objects(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> RawObjects:
    """What is in that cluster, with a run at work and one that failed."""
    file = tmp_path_factory.mktemp("kube") / "kubeconfig"
    kube.write_kubeconfig(file)
    objects = RawObjects.of_kubeconfig(file, "tester")
    for report in (EARLIER, AT_WORK):
        ReportShelf(objects, NAMESPACE).put(report)
    return objects


@pytest.fixture(scope="module")
def origin(gateway: Alone, objects: RawObjects) -> Iterator[str]:
    """Where the portal answers."""
    with served(gateway, objects) as origin:
        yield origin


@pytest.fixture(scope="module")
def browser(origin: str) -> Iterator[Browser]:
    """One browser for all tests; begun last, because its driver keeps this thread's event loop."""
    with started("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost") as browser:
        yield browser


@pytest.fixture
def window(browser: Browser, origin: str) -> Iterator[Window]:
    """A window in which nobody is signed in."""
    window = Window(browser, origin)
    yield window
    window.close()


@pytest.mark.parametrize(("who", "role"), ROLES)
def test_every_page_is_for_who_it_is_for_and_good_to_use(
    window: Window, people: People, who: str | None, role: Role | None
) -> None:
    """By keyboard, on a phone, light and dark, for axe; all comes from the site, no policy is broken."""
    if who:
        sign_in(window, people.secrets[who])
        assert faults_of_menu(window, role) == []
    assert faults_of_pages(window, role) == []


def test_signing_out_leaves_nothing_to_go_back_to(window: Window, people: People) -> None:
    """Neither the browser's own button nor an address shows a page of somebody who left."""
    sign_in(window, people.secrets["admin"])
    window.open("/people")
    sign_out(window)
    assert window.cookies() == {}
    window.page.go_back()
    assert window.page.get_by_role("heading", name="Sign in").is_visible()
    assert window.open("/people").url.endswith("/sign-in?then=/people")


def test_the_first_stop_of_the_keyboard_leads_past_the_menu(window: Window, people: People) -> None:
    """Whoever comes by keyboard need not walk through the menu on every page."""
    sign_in(window, people.secrets["red"])
    window.page.keyboard.press("Tab")
    window.page.keyboard.press("Enter")
    assert window.page.evaluate("document.activeElement.id") == "content"


def test_a_run_moves_on_an_open_page(window: Window, people: People, objects: RawObjects) -> None:
    """What somebody reads stays where it is: only what changed is put in place."""
    sign_in(window, people.secrets["operator"])
    window.open("/runs")
    page = window.page
    page.locator("#run-state").filter(has_text="1 of 2 steps done").wait_for()
    page.locator("#run-changes").focus()
    page.evaluate("window.read = document.activeElement")
    ReportShelf(objects, NAMESPACE).put(DONE)
    page.locator("#run-state").filter(has_text="4 changed in 1 min 1 s").wait_for()
    assert page.evaluate("document.activeElement === window.read && read.id === 'run-changes'")
    ReportShelf(objects, NAMESPACE).put(AT_WORK)
    page.locator("#run-state").filter(has_text="1 of 2 steps done").wait_for()
    assert window.complaints == []


def test_lines_come_to_an_open_page_as_they_are_written(window: Window, people: People, kube: Kube) -> None:
    """At its end, where somebody who is there sees them."""
    sign_in(window, people.secrets["operator"])
    window.open("/logs?component=gateway")
    page = window.page
    page.get_by_text("Live: new lines come by themselves.").wait_for()
    kube.logs["gateway-1"] += line("ERROR <b>broke</b>", 0)
    last = page.locator("#lines tr").last.filter(has_text="ERROR <b>broke</b>")
    last.wait_for()
    assert page.evaluate(
        "(e => e.scrollHeight - e.scrollTop - e.clientHeight < 2)(document.querySelector('.log'))"
    )
    assert window.complaints == []


@pytest.mark.parametrize(
    ("path", "said"), [("/runs", "its version differs"), ("/logs?component=gateway", "INFO request 0")]
)
def test_without_script_a_page_is_what_it_was_when_it_was_loaded(
    browser: Browser, origin: str, people: People, path: str, said: str
) -> None:
    """All of it is there."""
    window = Window(browser, origin, java_script_enabled=False)
    sign_in(window, people.secrets["operator"])
    window.open(path)
    window.page.get_by_text(said).first.wait_for()
    window.close()


def test_two_models_answer_beside_each_other(window: Window, people: People) -> None:
    """Two models beside each other; the one that fails says why."""
    sign_in(window, people.secrets["red"])
    answers = answers_to(window, "count to seven", MODEL, "too-busy")
    assert "5, 6, 7" in answers[MODEL]
    assert answers["too-busy"]
    assert window.complaints == []


def test_without_script_the_playground_answers_as_a_page(
    browser: Browser, origin: str, people: People
) -> None:
    """The script only makes it come sooner."""
    window = Window(browser, origin, java_script_enabled=False)
    sign_in(window, people.secrets["red"])
    window.open("/playground")
    window.page.get_by_label("Your question").fill("count to seven")
    window.page.get_by_role("button", name="Ask").click()
    window.page.get_by_text("5, 6, 7").wait_for()
    window.close()


def test_a_made_key_works_until_it_is_revoked(window: Window, people: People, gateway: Alone) -> None:
    """Both are done by what the pages offer; the gateway knows soon."""
    sign_in(window, people.secrets["admin"])
    window.open("/people")
    window.page.get_by_label("Name").first.fill("night shift")
    window.page.get_by_role("button", name="Make the key").click()
    made = SECRET.search(window.page.get_by_role("alert").inner_text())
    assert made

    def status() -> int:
        headers = {"authorization": f"Bearer {made[0]}"}
        return httpx.get(f"{gateway.url}/v1/models", headers=headers, timeout=PATIENCE).status_code

    eventually(lambda: status() == httpx.codes.OK)
    window.page.get_by_role("button", name="Revoke night shift").click()
    eventually(lambda: status() == httpx.codes.UNAUTHORIZED)
