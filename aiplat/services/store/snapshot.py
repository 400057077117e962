"""Everything the gateway keeps in memory of accounts, read at once; what is done with it is the gateway's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import and_, not_, select

from aiplat.services.store.budgets import Budget, budget_of
from aiplat.services.store.database import Database
from aiplat.services.store.keys import KeyRecord, key_of, owner_may_enter
from aiplat.services.store.tables import budgets, keys, settings, teams
from aiplat.services.store.teams import Team, team_of


@dataclass(frozen=True)
class Snapshot:
    """Keys by the hashes that find them, teams by name, budgets by their number in the database.

    `old_until` tells for hashes of rotated keys how long they are good; `revoked` are hashes of keys that
    must be refused wherever else they are known, and of those whose owner may not enter.
    """

    version: int
    keys: dict[str, KeyRecord]
    old_until: dict[str, datetime]
    revoked: frozenset[str]
    teams: dict[str, Team]
    budgets: dict[int, Budget]


async def read_snapshot(database: Database) -> Snapshot:
    """Read what is in force now.

    Raises:
        Unreachable: the database does not answer.
    """
    async with database.begin() as connection:
        # Read first: a change that comes while the rest is read leads to another reading.
        version = int((await connection.execute(select(settings.c.version))).scalar_one())
        good = and_(keys.c.revoked_at.is_(None), owner_may_enter())
        rows = list(await connection.execute(select(keys).where(good)))
        gone = await connection.execute(select(keys.c.hash).where(not_(good)))
        found_teams = [team_of(row) for row in await connection.execute(select(teams))]
        found_budgets = list(await connection.execute(select(budgets)))
        revoked = frozenset(gone.scalars())
    by_hash = {row.hash: key_of(row) for row in rows}
    rotated = [row for row in rows if row.old_hash and row.old_until > datetime.now(UTC)]
    by_hash.update({row.old_hash: key_of(row) for row in rotated})
    return Snapshot(
        version=version,
        keys=by_hash,
        old_until={row.old_hash: row.old_until for row in rotated},
        revoked=revoked,
        teams={team.name: team for team in found_teams},
        budgets={row.id: budget_of(row) for row in found_budgets},
    )
