"""Accounts as this process knows them: keys, teams, budgets in memory, renewed within a second."""

from __future__ import annotations

import asyncio
import logging
import time

from aiplat.services.gateway.accounts.timeouts import within
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.requests.auth import ApiKey, KeyStore
from aiplat.services.store.budgets import Budget
from aiplat.services.store.changes import settings_version
from aiplat.services.store.database import Database
from aiplat.services.store.faults import Unreachable
from aiplat.services.store.keys import KeyRecord
from aiplat.services.store.secret import hash_key
from aiplat.services.store.snapshot import Snapshot, read_snapshot
from aiplat.services.store.teams import Team

log = logging.getLogger("aiplat.gateway")

_EVERY_SECONDS = 1.0
_PATIENCE_SECONDS = 2.0


class AccountCache:
    """A key store that knows what is in the database; `others` holds keys that are not, such as a Secret's.

    `outage` tells whether the database could not be asked last time.
    """

    def __init__(self, database: Database, others: KeyStore | None = None) -> None:
        self.outage = True
        self.teams: dict[str, Team] = {}
        self._database = database
        self._others = others
        self._read = False
        self._version = -1
        self._keys: dict[str, ApiKey] = {}
        self._old_until: dict[str, float] = {}
        self._revoked: frozenset[str] = frozenset()
        self._budgets: dict[tuple[str, str], list[tuple[int, Budget]]] = {}

    def find(self, presented: str) -> ApiKey | None:
        """Return the key that `presented` is the secret of, or None.

        Raises:
            ApiError: 503 as long as the database could not be read once and nobody else knows the key.
        """
        hashed = hash_key(presented)
        key = self._keys.get(hashed)
        if key is not None:
            return key if self._old_until.get(hashed, time.time() + 1) > time.time() else None
        if hashed in self._revoked:
            return None
        other = self._others.find(presented) if self._others else None
        if other is None and not self._read:
            raise errors.accounts_unreachable()
        return other

    def budgets_of(self, key: ApiKey) -> list[tuple[int, Budget]]:
        """Return the budgets, with their numbers, that a key's requests count in."""
        own = self._budgets.get(("key", key.id), [])
        return [*own, *self._budgets.get(("team", key.team), [])] if key.team else own

    async def refresh(self) -> None:
        """Look whether something has changed, and read everything again if so."""
        try:
            version = await within(_PATIENCE_SECONDS, settings_version(self._database))
            if version != self._version:
                self._take(await read_snapshot(self._database))
        except Exception as error:
            # Whatever it is, the gateway continues with what it has.
            self._note(outage=True, why=str(error) or type(error).__name__)
        else:
            self._note(outage=False)

    async def follow(self) -> None:
        """Refresh every second until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(_EVERY_SECONDS)

    def failed(self, error: Unreachable) -> None:
        """Hear from somebody else that the database does not answer."""
        self._note(outage=True, why=str(error))

    def _note(self, outage: bool, why: str = "") -> None:
        if outage and (not self.outage or not self._read):
            log.warning("accounts go on from memory: %s", why)
        elif self.outage and not outage:
            log.info("accounts are read from the database")
        self.outage = outage

    def _take(self, snapshot: Snapshot) -> None:
        self._keys = {hashed: _key(record, snapshot) for hashed, record in snapshot.keys.items()}
        self._old_until = {hashed: until.timestamp() for hashed, until in snapshot.old_until.items()}
        self._revoked, self.teams = snapshot.revoked, snapshot.teams
        budgets: dict[tuple[str, str], list[tuple[int, Budget]]] = {}
        for number, budget in snapshot.budgets.items():
            budgets.setdefault((budget.scope, budget.subject), []).append((number, budget))
        self._budgets, self._version, self._read = budgets, snapshot.version, True


def _key(record: KeyRecord, snapshot: Snapshot) -> ApiKey:
    team = snapshot.teams.get(record.team)
    return ApiKey(
        id=record.id,
        team=record.team,
        scopes=tuple(scope for scope in (record.models, team.models if team else ()) if scope),
        on_outage=record.on_outage,
        expires_at=record.expires_at.timestamp() if record.expires_at else None,
        requests_per_minute=record.requests_per_minute,
        tokens_per_minute=record.tokens_per_minute,
    )
