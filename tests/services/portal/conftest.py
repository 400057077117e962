"""The portal in this process: a real SQLite store, a real gateway, a cluster that tests write."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiplat.cluster.declared import DeclaredModel
from aiplat.cluster.raw import RawObjects
from aiplat.cluster.run_reports import ReportShelf
from aiplat.services.portal import streams
from aiplat.services.portal.alerts import Alerts
from aiplat.services.portal.app import create_app
from aiplat.services.portal.cluster import ClusterSeen, NodeSeen
from aiplat.services.portal.context import Portal
from aiplat.services.portal.gateway import Gateway
from aiplat.services.portal.logs import LogsLook, PodsOf
from aiplat.services.portal.runs import RunsLook
from aiplat.services.portal.visitors import Seal
from aiplat.services.store.database import Database
from tests.cluster.kube import Kube
from tests.services.api.conftest import People
from tests.services.gateway.alone import Alone, alone
from tests.services.gateway.conftest import MODEL
from tests.services.gateway.engine import Engine
from tests.services.portal.short_streams import Looks

NAMESPACE = "aiplat-user-serving"
HOST = "https://portal.ward-3.test"
SERVING = DeclaredModel(
    kind="Model.aiplat.dev",
    namespace="aiplat-model",
    name="gemma3",
    servedAs=MODEL,
    state="Serving",
    ready="1/1",
    message="answers",
    engine="ollama",
    fit="a replica takes 1 CPU, 480Mi of memory; 1 of 2 nodes can hold one",
    contextLength=4096,
)
READY = NodeSeen("s1", ready=True, message="kubelet is ready", version="v1.36.3", cordoned=False)
TOKEN = re.compile(r'name="token" value="([^"]+)"')


class Browser:
    """A browser with cookies; follows redirects, and sends forms as a page of the portal has them sent."""

    def __init__(self, loop: asyncio.Runner, app: Any) -> None:
        self._loop = loop
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url=HOST, follow_redirects=True)

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Load a page."""
        return self._loop.run(self.client.get(path, **more))

    def request(self, method: str, path: str) -> httpx.Response:
        """Ask by any method, with nothing."""
        return self._loop.run(self.client.request(method, path))

    def post(self, path: str, form: dict[str, str], **more: Any) -> httpx.Response:
        """Send a form as it is."""
        return self._loop.run(self.client.post(path, data=form, **more))

    def post_json(self, path: str, document: dict[str, Any], **more: Any) -> httpx.Response:
        """Send a document, as a program does."""
        return self._loop.run(self.client.post(path, json=document, **more))

    def send(self, path: str, **fields: str) -> httpx.Response:
        """Send a form with the token that the visitor's pages have."""
        token = TOKEN.search(self.get("/mine").text)
        assert token, "nobody is signed in"
        return self.post(path, {"token": token[1], **fields}, headers={"origin": HOST})

    def sign_in(self, secret: str) -> httpx.Response:
        """Enter a key."""
        return self.post("/sign-in", {"key": secret}, headers={"origin": HOST})


def portal_over(database: Database, gateway: Gateway, look: Callable[[], ClusterSeen]) -> Portal:
    """Return a portal of a site that runs one component."""
    door = {"name": "gateway", "plane": "access", "version": "1", "licence": "MIT", "purpose": "A door."}
    return Portal(
        site="ward-3",
        url="https://ward-3.test/v1",
        database=database,
        gateway=gateway,
        look=look,
        seal=Seal("a token of the test's own"),
        components=(door,),
    )


class Site:
    """A portal over a copy of everybody's database; `seen` is what its cluster tells."""

    def __init__(self, people: People, folder: Path, gateway: Gateway) -> None:
        self.people = people
        self._loop = asyncio.Runner()
        self.database = Database.open(people.copied_to(folder))
        self.seen = ClusterSeen((SERVING,), (READY,))
        self.portal = portal_over(self.database, gateway, lambda: self.seen)
        self.app = create_app(self.portal)

    def browser(self, who: str | None = None) -> Browser:
        """Return a browser in which somebody is signed in."""
        browser = Browser(self._loop, self.app)
        if who:
            assert browser.sign_in(self.people.secrets[who]).status_code == 200
        return browser

    def watch(self, kube: Kube, folder: Path) -> None:
        """Give the portal a cluster with reports of runs and logs of two components."""
        kube.write_kubeconfig(folder / "kubeconfig")
        objects = RawObjects.of_kubeconfig(folder / "kubeconfig", "tester")
        places = {
            name: PodsOf("aiplat-access", f"app.kubernetes.io/instance={name}")
            for name in ("gateway", "ingress")
        }
        runs = RunsLook(objects, NAMESPACE, ("aiplat-access",))
        self.portal = replace(self.portal, runs=runs, logs=LogsLook(objects, places))
        self.shelf = ReportShelf(objects, NAMESPACE)
        self.app = create_app(self.portal)

    def together(self, *doing: Coroutine[Any, Any, Any]) -> list[Any]:
        """Do several things at once, and return what each came to."""

        async def all_of_it() -> list[Any]:
            return await asyncio.gather(*doing)

        return self._loop.run(all_of_it())

    def ask(self, alerts: Alerts) -> None:
        """Have a Prometheus whose alerts are shown, in browsers opened from now on."""
        self.portal = replace(self.portal, alerts=alerts)
        self.app = create_app(self.portal)

    def see(self, **changes: Any) -> None:
        """Let the cluster tell something else."""
        self.seen = replace(self.seen, **changes)

    def close(self) -> None:
        """End the loop with everything in it."""
        self._loop.run(self.database.close())
        self._loop.close()


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """One engine for all tests."""
    with Engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    """Those who visit."""
    return People(f"sqlite:///{tmp_path_factory.mktemp('people') / 'accounts.db'}")


@pytest.fixture(scope="session")
def gateway(people: People, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """A gateway that knows everybody's keys."""
    folder = tmp_path_factory.mktemp("gateway")
    with alone(folder, engine, people.copied_to(folder)) as running:
        yield running


@pytest.fixture
def kube() -> Iterator[Kube]:
    """An empty cluster."""
    with Kube() as kube:
        yield kube


@pytest.fixture
def site(people: People, gateway: Alone, tmp_path: Path) -> Iterator[Site]:
    """A portal in front of the gateway."""
    site = Site(people, tmp_path, Gateway(f"{gateway.url}/v1"))
    yield site
    site.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Streams that look often, and end soon."""
    looks = Looks()
    monkeypatch.setattr(streams, "time", looks)
    monkeypatch.setattr(streams, "STREAM_LOOK_SECONDS", 0.02)
    monkeypatch.setattr("aiplat.services.portal.runs.STREAM_LOOK_SECONDS", 0.0)
    return looks
