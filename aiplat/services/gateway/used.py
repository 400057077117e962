"""`python -m aiplat.services.gateway.used FILE SINCE`: prints what keys and teams used, once, as JSON.

A process of its own beside the gateway: it reads the same file of accounts and asks the same database.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from aiplat.errors import AiplatError
from aiplat.moments import moment_of
from aiplat.services.gateway.config.files import AccountsConfig, read_config
from aiplat.services.store.budgets import BudgetState, budget_states
from aiplat.services.store.database import Database
from aiplat.services.store.keys import list_keys
from aiplat.services.store.teams import list_teams
from aiplat.services.store.usage import UsageQuery, UsageSum, sum_usage


async def used(database: Database, since: datetime) -> dict[str, Any]:
    """Return what each key and team used from a moment on, and how its budgets stand now.

    Keys that are good and teams are there with zeros too, others where they used something.

    Raises:
        Unreachable: the database does not answer.
    """
    keys = {key.id: key for key in await list_keys(database, revoked=True)}
    teams = [team.name for team in await list_teams(database)]
    by_key = await sum_usage(database, UsageQuery(since=since, group_by=("key",)))
    by_team = await sum_usage(database, UsageQuery(since=since, group_by=("team",)))
    good = [named for named, key in keys.items() if key.revoked_at is None]
    sums = {str(found.key): found for found in by_key}
    of_teams = {str(found.team): found for found in by_team if found.team}
    return {
        "keys": [
            {
                "key": named,
                "name": keys[named].name if named in keys else "",
                "team": keys[named].team if named in keys else "",
                **_amounts(sums.get(named)),
            }
            for named in dict.fromkeys((*good, *sums))
        ],
        "teams": [
            {"team": name, **_amounts(of_teams.get(name))} for name in dict.fromkeys((*teams, *of_teams))
        ],
        "budgets": [_budget(state) for state in await budget_states(database)],
    }


def _amounts(found: UsageSum | None) -> dict[str, Any]:
    if found is None:
        return {"requests": 0, "failed": 0, "promptTokens": 0, "completionTokens": 0, "cost": "0"}
    return {
        "requests": found.requests,
        "failed": found.failed,
        "promptTokens": found.prompt_tokens,
        "completionTokens": found.completion_tokens,
        "cost": f"{found.cost.normalize():f}",
    }


def _budget(state: BudgetState) -> dict[str, Any]:
    budget = state.budget
    left = max(budget.limit - state.used, budget.limit - budget.limit)
    return {
        "scope": budget.scope,
        "subject": budget.subject,
        "unit": budget.unit,
        "period": budget.period,
        "limit": f"{budget.limit.normalize():f}",
        "used": f"{state.used.normalize():f}",
        "left": f"{left.normalize():f}",
        "until": state.window_end.isoformat(),
    }


async def _told(file: Path, since: datetime) -> dict[str, Any]:
    named = read_config(file, AccountsConfig).database
    database = Database.open(named.url, password_file=named.password_file, pool_size=1)
    try:
        return await used(database, since)
    finally:
        await database.close()


def main() -> int:
    """Print it; returns 0, 1 where the database does not answer, 2 where the file cannot be worked with."""
    file, since = sys.argv[1:]
    try:
        told = asyncio.run(_told(Path(file), moment_of(since)))
    except AiplatError as error:
        sys.stderr.writelines(f"{finding}\n" for finding in error.findings)
        return error.exit_code
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
