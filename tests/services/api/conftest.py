"""The API in this process: a real SQLite store, a real site's state, an `ssh` that tells what a host saw."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiplat.services.api.app import create_app
from aiplat.services.api.dependencies import ApiContext
from aiplat.services.api.launch import Launcher
from aiplat.services.api.reports import Reports
from aiplat.services.bounds import API_LOOKS
from aiplat.services.store.database import Database
from aiplat.services.store.keys import NewKey, Role, create_key
from aiplat.services.store.migrate import upgrade
from aiplat.services.store.teams import NewTeam, create_team
from aiplat.services.store.usage import UsageRow, insert_usage
from tests.patience import PATIENCE
from tests.services.api.server import RUNNER

SITE = """
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: t-api
supply: packages
hosts:
  - {name: s1, address: s1.invalid, nodeAddress: 10.0.0.11, role: server}
"""
# What a host with nothing on it tells the probe.
FACTS = {
    "arch": "x86_64",
    "x86_64_level": 3,
    "cpus": 2,
    "is_root": True,
    "lab": "t-api",
    "default_route": True,
}
FACTS["interfaces"] = {"eth0": ["10.0.0.11"]}
FACTS |= {"disk_free_mib": 1 << 20, "memory_mib": 8192, "os_id": "debian", "os_version": "12"}
FAKE_SSH = """#!/bin/sh
if [ "$1" = -G ]; then echo "user root"; exit 0; fi
cat > /dev/null
exec cat "{facts}"
"""
PREFIX = "/api/v1"


@dataclass
class Place:
    """A site file and the host it is about; tests change both."""

    folder: Path
    file: Path = field(init=False)
    facts: Path = field(init=False)
    go: Path = field(init=False)

    def __post_init__(self) -> None:
        """Write what a test begins with."""
        self.file, self.facts, self.go = (self.folder / n for n in ("site.yaml", "facts.json", "go"))
        self.file.write_text(SITE)
        self.see(**FACTS)
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "ssh").write_text(FAKE_SSH.format(facts=self.facts))
        (programs / "ssh").chmod(stat.S_IRWXU)

    @property
    def environment(self) -> dict[str, str]:
        """The variables under which everything of the test runs."""
        return {
            "AIPLAT_STATE": str(self.folder / "state"),
            "XDG_RUNTIME_DIR": str(self.folder),
            "AIPLAT_TEST_GO": str(self.go),
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def see(self, **facts: object) -> None:
        """Let the host tell this."""
        self.facts.write_text(json.dumps(facts))

    @property
    def state(self) -> Path:
        """The site's state folder."""
        return self.folder / "state" / "aiplat" / "sites" / "t-api"


class People:
    """A database with keys of several people in two teams, and what they used; made once, then copied."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.secrets: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        asyncio.run(self._make())

    async def _make(self) -> None:
        database = Database.open(self.url)
        await upgrade(database)
        for team in ("red", "blue"):
            await create_team(database, NewTeam(name=team), "test")
        wanted: tuple[tuple[str, Role, str], ...] = (
            ("admin", "admin", ""),
            ("operator", "operator", ""),
            ("red", "member", "red"),
            ("blue", "member", "blue"),
            ("loner", "member", ""),
            ("spare", "member", "red"),
        )
        for who, role, team in wanted:
            issued = await create_key(database, NewKey(name=who, role=role, team=team), "test")
            self.secrets[who], self.ids[who] = issued.secret, issued.record.id
        rows = [self._used(n, team) for n, team in enumerate(("red", "red", "blue"))]
        assert await insert_usage(database, rows) == 3
        await database.close()

    def copied_to(self, folder: Path) -> str:
        """Return the URL of a copy (SQLite)."""
        copy = folder / "accounts.db"
        shutil.copy(self.url.removeprefix("sqlite:///"), copy)
        return f"sqlite:///{copy}"

    def _used(self, number: int, team: str) -> UsageRow:
        return UsageRow(
            request_id=f"{number:032x}",
            client_request_id=f"client-{number}",
            at=datetime(2026, 1, 1 + number, 12, tzinfo=UTC),
            key=self.ids[team],
            team=team,
            model=f"model-of-{team}",
            endpoint="/v1/chat/completions",
            status=200,
            outcome="done",
            prompt_tokens=10,
            completion_tokens=5,
            cost_nano=1_500_000,
        )


class Api:
    """The application; asks it with somebody's key, without a network."""

    def __init__(
        self, place: Place, people: People, launcher: Launcher | None, url: str | None = None
    ) -> None:
        self.place = place
        self.secrets, self.ids = dict(people.secrets), people.ids
        self._loop = asyncio.Runner()
        self.database = Database.open(url or people.copied_to(place.folder))
        self.app = create_app(ApiContext(place.file, self.database, launcher, Reports()))

    def ask(self, method: str, path: str, who: str | None = "admin", **more: Any) -> httpx.Response:
        """Send one request with somebody's key; `path` is below /api/v1."""
        headers = {"authorization": f"Bearer {self.secrets[who]}"} if who else {}
        return self._loop.run(self._ask(method, path, headers | more.pop("headers", {}), more))

    async def _ask(self, method: str, path: str, headers: dict[str, str], more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
            return await client.request(method, f"{PREFIX}{path}", **more)

    def beside(self, slow: list[tuple[str, str]], quick: list[tuple[str, str]]) -> list[httpx.Response]:
        """Ask what waits for `place.go`, then return the answers to what is asked while it waits."""
        return self._loop.run(self._beside(slow, quick))

    async def _beside(
        self, slow: list[tuple[str, str]], quick: list[tuple[str, str]]
    ) -> list[httpx.Response]:
        key = {"authorization": f"Bearer {self.secrets['admin']}"}
        tasks = [asyncio.create_task(self._ask(*one, key, {})) for one in slow]
        asked = self.place.folder / "asked"
        try:
            async with asyncio.timeout(PATIENCE):
                while not asked.exists() or len(asked.read_text().splitlines()) < API_LOOKS:
                    await asyncio.sleep(0.05)
                return [await self._ask(*one, key, {}) for one in quick]
        finally:
            self.place.go.touch()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def plan(self) -> str:
        """Make a plan and return its digest."""
        made = self.ask("POST", "/plans")
        assert made.status_code == 201, made.text
        return str(made.json()["digest"])

    def close(self) -> None:
        """End the loop with everything in it."""
        self._loop.run(self.database.close())
        self._loop.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A site of the test's own."""
    place = Place(tmp_path)
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AIPLAT_VAULT_PASSWORD_FILE", raising=False)
    return place


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    """Those who ask."""
    return People(f"sqlite:///{tmp_path_factory.mktemp('people') / 'accounts.db'}")


@pytest.fixture
def api(place: Place, people: People) -> Iterator[Api]:
    """The API where the SSH keys are."""
    api = Api(place, people, Launcher(place.file, RUNNER))
    yield api
    api.close()


@pytest.fixture(scope="module")
def lasting_api(tmp_path_factory: pytest.TempPathFactory, people: People) -> Iterator[Api]:
    """One API for all tests of a file, in their order."""
    with pytest.MonkeyPatch.context() as patch:
        place = Place(tmp_path_factory.mktemp("site"))
        for name, value in place.environment.items():
            patch.setenv(name, value)
        api = Api(place, people, Launcher(place.file, RUNNER))
        yield api
        api.close()


@pytest.fixture
def read_only(place: Place, people: People) -> Iterator[Api]:
    """The API as in a cluster: it makes no runs."""
    api = Api(place, people, None)
    yield api
    api.close()
