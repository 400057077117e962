"""The portal on a lab host: the first admin signs in, asks a model, makes keys, and sees usage."""

from __future__ import annotations

import base64
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from aiplat.lab import ssh_argv
from tests.e2e.journey import Journey
from tests.patience import PATIENCE, eventually

pytestmark = [pytest.mark.lab, pytest.mark.journey]
MODEL = "smollm2:135m"
KUBECTL = "k3s kubectl -n aiplat-user-serving"
TOKEN = re.compile(r'name="token" value="([^"]+)"')
SECRET = re.compile(r"sk-aiplat-[A-Za-z0-9_-]+")
QUESTION = {"model": MODEL, "prompt": "What is the capital of Italy?", "temperature": "0", "most": "24"}
REFUSED = 401


class Visitor:
    """A browser over a tunnel: it comes without TLS, so it carries the cookie by hand."""

    def __init__(self, port: int) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE)
        self._cookie = ""

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> httpx.Response:
        """Send one request and keep what the answer has the browser keep."""
        headers = {"cookie": self._cookie} if self._cookie else {}
        answer = self.client.request(method, path, data=form, headers=headers)
        if kept := answer.headers.get("set-cookie"):
            self._cookie = kept.partition(";")[0]
        return answer

    def sign_in(self, key: str) -> httpx.Response:
        """Enter a key."""
        return self.ask("POST", "/sign-in", {"key": key})

    def send(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of a page."""
        token = TOKEN.search(self.ask("GET", "/mine").text)
        assert token, "nobody is signed in"
        return self.ask("POST", path, {"token": token[1], **fields})


@pytest.fixture(scope="module")
def ward(make_journey: Callable[[str], Journey]) -> Journey:
    """A lab host."""
    return make_journey("portal")


@pytest.fixture(scope="module")
def first(ward: Journey) -> dict[str, Any]:
    """The summary of the first bootstrap."""
    return ward.bootstrap()


@pytest.fixture(scope="module")
def admin_key(ward: Journey, first: dict[str, Any]) -> str:
    """The key that the site was made with for its first admin."""
    assert first["state"] == "done", first
    told = ward.on_host(f"{KUBECTL} get secret portal-gateway-key -o jsonpath={{.data.key}}")
    return base64.b64decode(told).decode()


@contextmanager
def tunnel(ward: Journey) -> Iterator[int]:
    """Reach the portal's Service through the host's ssh; yields the local port."""
    address = ward.on_host(f"{KUBECTL} get service portal -o jsonpath={{.spec.clusterIP}}").strip()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    argv = ssh_argv(ward.name, f"{ward.name}-s1")
    ways = ["-N", "-o", "ExitOnForwardFailure=yes", "-L", f"127.0.0.1:{port}:{address}:8080"]
    going = subprocess.Popen([*argv[:1], *ways, *argv[1:]], stdin=subprocess.DEVNULL)
    try:
        eventually(lambda: _listens(port))
        yield port
    finally:
        going.terminate()
        going.wait(PATIENCE)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def door(ward: Journey, admin_key: str) -> Iterator[int]:
    """The port at which the portal answers."""
    assert admin_key
    with tunnel(ward) as port:
        yield port


@pytest.fixture
def admin(door: int, admin_key: str) -> Visitor:
    """The first admin, signed in."""
    visitor = Visitor(door)
    assert visitor.sign_in(admin_key).status_code == 303
    return visitor


def test_nobody_sees_a_page_without_a_key(door: int) -> None:
    """Every page leads to where one signs in."""
    for path in ("/", "/models", "/usage", "/people"):
        answer = Visitor(door).ask("GET", path)
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in")


def test_a_new_site_needs_no_attention_and_shows_its_model(admin: Visitor) -> None:
    """What the cluster and the gateway tell stands on the pages."""
    eventually(lambda: "Nothing. 1 node and 1 model" in admin.ask("GET", "/").text)
    text = admin.ask("GET", "/models").text
    assert MODEL in text
    assert "Serving" in text
    assert "prometheus" not in admin.ask("GET", "/components").text


def test_the_playground_streams_the_models_answer(admin: Visitor) -> None:
    """The gateway is asked with the admin's own key."""
    answer = admin.send("/playground/stream", **QUESTION)
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    assert answer.text.count("data: ") > 3
    assert "Rome" in admin.send("/playground", **QUESTION).text


def test_a_key_of_the_portal_works_at_the_gateway_until_it_is_revoked(ward: Journey, admin: Visitor) -> None:
    """Both are known there within seconds, and usage names the key."""
    admin.send("/people/teams", name="night")
    made = SECRET.search(admin.send("/people/keys", name="shift", team="night", role="member").text)
    assert made
    with ward.platform() as client:
        asked = {"model": MODEL, "prompt": "The sea is", "max_tokens": 2}
        headers = {"authorization": f"Bearer {made[0]}"}

        def status() -> int:
            return client.post("completions", json=asked, headers=headers).status_code

        eventually(lambda: status() == httpx.codes.OK)
        eventually(lambda: "shift" in admin.ask("GET", "/people").text)
        eventually(lambda: "night" in admin.ask("GET", "/usage?by=team").text)
        named = re.search(
            r"<th scope=\"row\">shift</th><td><code>(key-[0-9a-f]+)</code>", admin.ask("GET", "/people").text
        )
        assert named
        assert admin.send("/people/revoke", key=named[1]).status_code == 303
        eventually(lambda: status() == REFUSED)


def test_a_session_outlives_the_pod_that_began_it(ward: Journey, admin: Visitor) -> None:
    """What a session is stands in its cookie: any replica answers."""
    ward.on_host(f"{KUBECTL} rollout restart deployment/portal")
    ward.on_host(f"{KUBECTL} rollout status deployment/portal --timeout=120s")
    eventually(lambda: "first-admin" in admin.ask("GET", "/mine").text)


def test_the_second_bootstrap_changes_nothing(ward: Journey) -> None:
    """The portal's secrets are generated once."""
    assert ward.bootstrap()["changed"] == 0


def test_the_reset_leaves_nothing(ward: Journey) -> None:
    """What the portal brought goes with the platform."""
    assert ward.document("reset", "--yes")["ok"]
