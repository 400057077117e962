"""What keys and teams used, asked of a site's gateway as it stands in a cluster."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from aiplat.actions.usage import usage
from aiplat.cli.usage_tables import usage_view
from aiplat.errors import AiplatError, BadInput
from aiplat.services.store.budgets import Budget, set_budget
from aiplat.services.store.database import Database
from aiplat.services.store.keys import NewKey, create_key
from aiplat.services.store.migrate import upgrade
from aiplat.services.store.teams import NewTeam, create_team
from aiplat.services.store.usage import UsageRow, insert_usage
from tests.verify.loopback import Loopback

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
EARLIER = datetime(2029, 12, 31, 12, tzinfo=UTC)


async def _filled(url: str) -> str:
    database = Database.open(url)
    await upgrade(database)
    await create_team(database, NewTeam("ward"), "root")
    key = (await create_key(database, NewKey("triage app", "ward"), "root")).record.id
    await set_budget(database, Budget("key", key, "requests", "month", Decimal(100)), "root")
    amounts = {"status": 200, "outcome": "done", "prompt_tokens": 1000, "completion_tokens": 5}
    rows = [
        UsageRow("r1", NOON, key, "ward", "m", "/v1", cost_nano=1_500_000_000, **amounts),
        UsageRow("r2", NOON, "site", "", "m", "/v1", 502, "failed", prompt_tokens=7),
        UsageRow("r3", EARLIER, key, "ward", "m", "/v1", **amounts),
    ]
    await insert_usage(database, rows)
    await database.close()
    return key


@pytest.fixture
def key(healthy: Loopback, tmp_path: Path) -> str:
    """A key of team `ward`; the gateway's pod runs the real module on an SQLite file."""
    url = f"sqlite:///{tmp_path}/accounts.db"
    file = tmp_path / "accounts.json"
    file.write_text(json.dumps({"database": {"url": url}}))
    made = asyncio.run(_filled(url))

    def run(pod: str, command: list[str]) -> tuple[str, int]:
        assert pod == "gateway-1"
        given = [str(file) if word.endswith("accounts.json") else word for word in command[1:]]
        done = subprocess.run([sys.executable, *given], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr, done.returncode

    healthy.kube.executed = run
    return made


def test_keys_and_teams_are_told_with_what_they_used(healthy: Loopback, key: str) -> None:
    """From a day on; also the site's own key, which has no account."""
    found = usage(healthy.site, date(2030, 1, 1))
    told = {k.key: (k.name, k.team, k.requests, k.failed, k.prompt_tokens, k.cost) for k in found.keys}
    assert told == {key: ("triage app", "ward", 1, 0, 1000, "1.5"), "site": ("", "", 1, 1, 7, "0")}
    assert [(t.team, t.requests, t.completion_tokens) for t in found.teams] == [("ward", 1, 5)]
    assert {k.key: k.requests for k in usage(healthy.site, date(2029, 1, 1)).keys} == {key: 2, "site": 1}


def test_what_a_budget_has_left_is_of_its_own_window(healthy: Loopback, key: str) -> None:
    """Nothing of 2030 counts in this month; a key that used nothing is there with zeros."""
    found = usage(healthy.site, date(2040, 1, 1))
    assert [(k.key, k.requests) for k in found.keys] == [(key, 0)]
    (budget,) = found.budgets
    assert (budget.subject, budget.limit, budget.used, budget.left) == (key, "100", "0", "100")
    console = Console(width=200)
    with console.capture() as shown:
        console.print(usage_view(found))
    assert f"100 of 100 requests until {budget.until}" in shown.get()


def test_what_the_gateway_cannot_say_is_told_as_it_is(healthy: Loopback, key: str, tmp_path: Path) -> None:
    """A gateway without accounts, one of an older aiplat, one whose database is away, none at all."""
    (tmp_path / "accounts.json").unlink()
    with pytest.raises(BadInput, match="keeps no accounts"):
        usage(healthy.site)
    healthy.kube.executed = lambda *_: ("No module named aiplat.services.gateway.used\n", 1)
    with pytest.raises(AiplatError, match="is of an aiplat that cannot tell; run `aiplat bootstrap`"):
        usage(healthy.site)
    healthy.kube.executed = lambda *_: ("database: does not answer\n", 1)
    with pytest.raises(AiplatError, match="cannot say what was used: database: does not answer"):
        usage(healthy.site)
    healthy.kube.lists["pods"] = []
    with pytest.raises(AiplatError, match="its gateway does not run"):
        usage(healthy.site)
