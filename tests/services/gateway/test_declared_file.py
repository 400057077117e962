"""A gateway in a site follows a file that declares components' keys, while it serves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aiplat.content import sha256_bytes, write_atomic
from aiplat.services.store.budgets import Budget, list_budgets
from aiplat.services.store.database import Database
from tests.patience import eventually
from tests.services.gateway.conftest import MODEL, RunningGateway, running, write_site_files
from tests.services.gateway.engine import Engine

SECRET = "sk-aiplat-of-a-component"
BODY = {"model": MODEL, "prompt": "The sea is", "max_tokens": 2}


def declare(folder: Path, *keys: dict[str, Any]) -> None:
    """Replace the file, as Kubernetes does when the Secret changes."""
    document = {"teams": [{"name": "things"}], "keys": list(keys)}
    write_atomic(folder / "declared.json", json.dumps(document).encode())


def key(named: str = "thing-chat", **values: Any) -> dict[str, Any]:
    """A key of a component, by the hash of its secret."""
    return {"id": named, "hash": sha256_bytes(SECRET.encode()), "team": "things", **values}


@pytest.fixture
def gateway(engine: Engine, tmp_path: Path, database_url: str) -> Iterator[RunningGateway]:
    """A gateway with accounts in a database; the file is not there yet."""
    write_site_files(tmp_path, {"models": [{"name": MODEL, "url": engine.url}]})
    accounts = {
        "database": {"url": database_url, "migrate": True},
        "spool": {"folder": str(tmp_path / "spool")},
        "declared_file": str(tmp_path / "declared.json"),
        "teams_file": str(tmp_path / "teams.json"),
    }
    write_atomic(tmp_path / "accounts.json", json.dumps(accounts).encode())
    options = (f"--static={tmp_path / 'models.json'}", f"--accounts={tmp_path / 'accounts.json'}")
    with running(tmp_path, *options) as found:
        yield found


def status(gateway: RunningGateway) -> int:
    """Return how a request with the component's key is answered."""
    with gateway.client(SECRET) as client:
        return client.post("/v1/completions", json=BODY).status_code


def test_a_key_is_good_from_when_it_is_declared_until_it_is_not(gateway: RunningGateway) -> None:
    """No restart in between: a component comes and leaves while others are served."""
    assert status(gateway) == 401
    declare(gateway.folder, key())
    assert eventually(lambda: status(gateway) == 200)
    declare(gateway.folder)
    assert eventually(lambda: status(gateway) == 401)


def test_a_budget_of_the_file_binds(gateway: RunningGateway) -> None:
    """A component that used up what it may is refused, as a person is."""
    declare(gateway.folder, key(budgets=[{"unit": "requests", "period": "day", "limit": 1}]))
    assert eventually(lambda: status(gateway) == 200)
    assert eventually(lambda: status(gateway) == 429)


def test_a_file_that_cannot_be_read_keeps_what_was(gateway: RunningGateway) -> None:
    """It is said in the log; the next good one counts."""
    declare(gateway.folder, key())
    assert eventually(lambda: status(gateway) == 200)
    write_atomic(gateway.folder / "declared.json", b"{")
    assert eventually(lambda: "declared keys stay as they were" in (gateway.folder / "log").read_text())
    assert status(gateway) == 200
    declare(gateway.folder)
    assert eventually(lambda: status(gateway) == 401)


def test_team_objects_become_teams_with_their_budgets(gateway: RunningGateway) -> None:
    """Their file comes and changes by itself; a team that a component's key depends on stays as that says."""
    none = [{"unit": "requests", "period": "day", "limit": "0"}]
    declare(gateway.folder, key())
    assert eventually(lambda: status(gateway) == 200)
    teams = [{"name": name, "budgets": none} for name in ("things", "people")]
    write_atomic(gateway.folder / "teams.json", json.dumps({"teams": teams}).encode())
    assert eventually(lambda: _budgets(gateway) == [Budget("team", "people", "requests", "day", Decimal(0))])
    assert status(gateway) == 200


def _budgets(gateway: RunningGateway) -> list[Budget]:
    """Return the budgets that the database has."""
    url = json.loads((gateway.folder / "accounts.json").read_text())["database"]["url"]

    async def ask() -> list[Budget]:
        database = Database.open(url)
        try:
            return await list_budgets(database)
        finally:
            await database.close()

    return asyncio.run(ask())
