"""Puts the parts that keep accounts together; what each of them decides is its own."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from aiplat.content import write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.services.background import Task
from aiplat.services.gateway.accounts.account_cache import AccountCache
from aiplat.services.gateway.accounts.admission import AccountsAdmission, AdmissionParts
from aiplat.services.gateway.accounts.budget_leases import BudgetLeases
from aiplat.services.gateway.accounts.metrics import AccountMetrics
from aiplat.services.gateway.accounts.prices import PriceList
from aiplat.services.gateway.accounts.spool import Spool
from aiplat.services.gateway.accounts.usage_writer import UsageWriter
from aiplat.services.gateway.config.files import (
    AccountsConfig,
    AloneConfig,
    BudgetEntry,
    Declarations,
    KeyEntry,
    read_declarations,
)
from aiplat.services.gateway.config.reload import fingerprint
from aiplat.services.gateway.requests.auth import KeyStore
from aiplat.services.gateway.routing.models import ModelTable
from aiplat.services.store.budgets import Budget, Scope
from aiplat.services.store.database import Database
from aiplat.services.store.declared import Declared, apply_declared
from aiplat.services.store.faults import Unreachable
from aiplat.services.store.keys import NewKey
from aiplat.services.store.secret import hash_key, new_secret
from aiplat.services.store.teams import NewTeam
from aiplat.services.store.upgraded import ensure_upgraded

log = logging.getLogger("aiplat.gateway")

_SYNC_SECONDS = 1.0
_TRY_AGAIN_SECONDS = 1.0
_GOODBYE_SECONDS = 5.0
_SHORTEST_SECRET = 20


@dataclass(frozen=True)
class Accounts:
    """What a gateway needs of its accounts; `work` must run as long as it serves."""

    keys: KeyStore
    admission: AccountsAdmission
    work: tuple[Task, ...]


@asynccontextmanager
async def open_accounts(
    config: AccountsConfig, others: KeyStore | None, table: ModelTable, registry: CollectorRegistry
) -> AsyncIterator[Accounts]:
    """Keep accounts until the block ends; then what was used is written down, or stays in the spool.

    Raises:
        BadInput: the database or what the file declares cannot be worked with.
        OSError: the spool's folder cannot be used.
    """
    database = Database.open(config.database.url, password_file=config.database.password_file)
    spool = Spool(config.spool.folder, config.spool.max_mib << 20)
    cache, metrics = AccountCache(database, others), AccountMetrics(registry)
    writer = UsageWriter(database, spool, metrics, cache.failed)
    replica = uuid.uuid4().hex
    leases = BudgetLeases(database, replica)
    parts = AdmissionParts(cache, leases, PriceList(config.prices), table, writer.put, metrics, replica)
    metrics.show(lambda: (not cache.outage, writer.queued, writer.spooled_bytes))
    try:
        prepared = await _prepared(database, config)
        await cache.refresh()
        work = (
            Task("accounts", partial(_follow, cache, database, config, prepared)),
            Task("usage", writer.run),
            Task("budgets", partial(_sync, leases, cache)),
            *_declared_work(database, config),
        )
        yield Accounts(cache, AccountsAdmission(parts), work)
    finally:
        await _say_goodbye(leases)
        try:
            await writer.close()
        finally:
            await database.close()


async def _prepared(database: Database, config: AccountsConfig) -> bool:
    """Make tables and declared accounts; False when the database does not answer yet."""
    try:
        await _prepare(database, config)
    except Unreachable as error:
        log.warning("starting without accounts: %s", error)
        return False
    return True


async def _prepare(database: Database, config: AccountsConfig) -> None:
    where = config.database
    if where.migrate:
        await ensure_upgraded(database, where.url, where.password_file)
    if isinstance(config, AloneConfig):
        await apply_declared(database, _declared(config))


def _declared_work(database: Database, config: AccountsConfig) -> tuple[Task, ...]:
    path = config.declared_file
    return (Task("declared", partial(_keep_declared, database, path, config.teams_file)),) if path else ()


async def _keep_declared(database: Database, path: Path, teams_file: Path | None) -> None:
    """Keep the database as the files say; what cannot be read or written is tried again, and said once."""
    done, said = None, ""
    while True:
        try:
            seen = fingerprint(p for p in (path, teams_file) if p and p.exists())
            if seen != done:
                await apply_declared(database, _declared(read_declarations(path, teams_file)))
                done, said = seen, ""
        except (BadInput, Unreachable, OSError) as error:
            if str(error) != said:
                log.warning("declared keys stay as they were: %s", error)
            said = str(error)
        await asyncio.sleep(_TRY_AGAIN_SECONDS)


async def _follow(cache: AccountCache, database: Database, config: AccountsConfig, prepared: bool) -> None:
    while not prepared:
        await asyncio.sleep(_TRY_AGAIN_SECONDS)
        prepared = await _prepared(database, config)
    await cache.follow()


async def _sync(leases: BudgetLeases, cache: AccountCache) -> None:
    while True:
        await asyncio.sleep(_SYNC_SECONDS)
        if cache.outage:
            continue
        try:
            await leases.sync()
        except Unreachable as error:
            cache.failed(error)


async def _say_goodbye(leases: BudgetLeases) -> None:
    try:
        async with asyncio.timeout(_GOODBYE_SECONDS):
            await leases.give_back()
    except Exception as error:
        log.warning("budget leases end by themselves in a minute: %s", error)


def _declared(config: Declarations) -> Declared:
    teams = [NewTeam(**team.model_dump(exclude={"budgets"})) for team in config.teams]
    keys = {key.id: (_hash(key), _new_key(key)) for key in config.keys}
    budgets = [_budget("team", team.name, entry) for team in config.teams for entry in team.budgets]
    budgets += [_budget("key", key.id, entry) for key in config.keys for entry in key.budgets]
    return Declared(teams, keys, budgets)


def _new_key(key: KeyEntry) -> NewKey:
    values = key.model_dump(exclude={"id", "hash", "secret_file", "budgets"})
    return NewKey(**{**values, "name": key.name or key.id})


def _budget(scope: Scope, subject: str, entry: BudgetEntry) -> Budget:
    return Budget(scope, subject, entry.unit, entry.period, entry.limit)


def _hash(key: KeyEntry) -> str:
    if key.secret_file is None:
        return key.hash
    return hash_key(_secret(key.secret_file))


def _secret(path: Path) -> str:
    if not path.exists():
        write_atomic(path, f"{new_secret()}\n".encode(), mode=0o600)
        log.info("a new key is in %s", path)
    secret = path.read_text().strip()
    if len(secret) < _SHORTEST_SECRET:
        raise BadInput(
            Finding(str(path), f"holds no key of {_SHORTEST_SECRET} characters or more", "remove the file")
        )
    return secret
