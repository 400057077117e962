"""What every request used: written once however often it is sent, summed and listed; prices are not here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Literal, TypeVar

from sqlalchemy import Integer, Select, TextClause, case, cast, func, or_, select, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from aiplat.services.bounds import MOST_COST, MOST_COUNT
from aiplat.services.store.database import Database
from aiplat.services.store.money import money
from aiplat.services.store.sums import halves, summed
from aiplat.services.store.tables import usage

Group = Literal["team", "key", "model", "day"]
_Q = TypeVar("_Q", bound=Select[Any])


@dataclass(slots=True)
class UsageRow:
    """One request. `request_id` is unique for good and chosen by the gateway, never by a client.

    `client_request_id` is what the client called it, which may be used twice. `provider` is empty for the
    site's own models; `cost_nano` is in billionths of the site's currency. Not frozen, because
    every request makes one, and that would take three times as long.
    """

    request_id: str
    at: datetime
    key: str
    team: str
    model: str
    endpoint: str
    status: int
    outcome: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    cost_nano: int = 0
    seconds: float = 0.0
    first_byte_seconds: float | None = None
    provider: str = ""
    replica: str = ""
    client_request_id: str | None = None

    @property
    def cost(self) -> Decimal:
        """What the request cost, in the site's currency."""
        return money(self.cost_nano)


@dataclass(frozen=True)
class UsageQuery:
    """Which requests: each field given must match; `since` is included, `until` is not.

    `request_id` matches what the gateway called a request and what its client did; `keys` any of several.
    """

    since: datetime | None = None
    until: datetime | None = None
    team: str | None = None
    key: str | None = None
    model: str | None = None
    request_id: str | None = None
    keys: tuple[str, ...] | None = None
    group_by: tuple[Group, ...] = ()


@dataclass(frozen=True)
class UsageSum:
    """A sum of requests; a field that was not grouped by is None. `failed` are those the gateway broke."""

    team: str | None
    key: str | None
    model: str | None
    day: date | None
    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    estimated_requests: int
    cost: Decimal


_COLUMNS = tuple(column.name for column in usage.columns)
_POSTGRESQL = PGDialect_psycopg()  # type: ignore[no-untyped-call]


def _statement(postgresql: bool) -> TextClause:
    # One document for a whole batch: as values of their own the rows of a busy second would cost more
    # than the requests they tell of.
    names = ", ".join(_COLUMNS)
    if postgresql:
        types = ((c.name, c.type.compile(_POSTGRESQL)) for c in usage.columns)
        source = f"json_to_recordset(:rows) AS row({', '.join(f'{name} {kind}' for name, kind in types)})"
        chosen = names
    else:
        source = "json_each(:rows)"
        chosen = ", ".join(f"json_extract(value, '$.{name}')" for name in _COLUMNS)
    # "WHERE true" keeps SQLite from reading ON as the beginning of a join.
    insert = f"INSERT INTO usage ({names}) SELECT {chosen} FROM {source} WHERE true"  # noqa: S608 - own names
    return text(f"{insert} ON CONFLICT (request_id) DO NOTHING")


_FIELDS = attrgetter(*UsageRow.__slots__)
_MOST = (("prompt_tokens", MOST_COUNT), ("completion_tokens", MOST_COUNT), ("cost_nano", MOST_COST))
_INSERT_POSTGRESQL, _INSERT_SQLITE = _statement(True), _statement(False)


def _values(row: UsageRow) -> dict[str, Any]:
    values = dict(zip(UsageRow.__slots__, _FIELDS(row), strict=True))
    # Whoever counted them: a number that no column holds would keep out a whole batch.
    for name, limit in _MOST:
        if not 0 <= (number := values[name]) <= limit:
            values[name] = min(max(0, number), limit)
    # As SQLite keeps times and days, which PostgreSQL reads as well; `strftime` takes four times as long.
    stamp = row.at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    values["at"], values["day"] = stamp, stamp[:10]
    return values


async def insert_usage(database: Database, rows: Sequence[UsageRow]) -> int:
    """Write requests down; those that are there already stay as they are. Returns how many were new.

    Raises:
        Unreachable: the database does not answer; nothing was written.
    """
    document = json.dumps([_values(row) for row in rows])
    statement = _INSERT_POSTGRESQL if database.is_postgresql else _INSERT_SQLITE
    async with database.begin(writes=True) as connection:
        done = await connection.execute(statement, {"rows": document})
        return done.rowcount


def _matching(query: _Q, asked: UsageQuery) -> _Q:
    equal = ((usage.c.team, asked.team), (usage.c.key, asked.key), (usage.c.model, asked.model))
    for column, wanted in equal:
        query = query if wanted is None else query.where(column == wanted)
    if asked.keys is not None:
        query = query.where(usage.c.key.in_(asked.keys))
    if asked.request_id is not None:
        either = (usage.c.request_id, usage.c.client_request_id)
        query = query.where(or_(*(column == asked.request_id for column in either)))
    if asked.since is not None:
        # The day too, because it leads the index.
        query = query.where(usage.c.at >= asked.since, usage.c.day >= asked.since.astimezone(UTC).date())
    if asked.until is not None:
        query = query.where(usage.c.at < asked.until, usage.c.day <= asked.until.astimezone(UTC).date())
    return query


async def sum_usage(database: Database, asked: UsageQuery) -> list[UsageSum]:
    """Return sums of the requests that match, one per group; without groups one of all, zeros included."""
    groups = [usage.c[name] for name in dict.fromkeys(asked.group_by)]
    sums = (
        func.count().label("requests"),
        func.sum(case((usage.c.outcome == "failed", 1), else_=0)).label("failed"),
        *halves(usage.c.prompt_tokens, "prompt_tokens"),
        *halves(usage.c.completion_tokens, "completion_tokens"),
        func.sum(cast(usage.c.estimated, Integer)).label("estimated_requests"),
        *halves(usage.c.cost_nano, "cost"),
    )
    query = _matching(select(*groups, *sums), asked).group_by(*groups).order_by(*groups)
    async with database.begin() as connection:
        return [_sum(dict(row)) for row in (await connection.execute(query)).mappings()]


def _sum(row: dict[str, Any]) -> UsageSum:
    counts = ("requests", "failed", "estimated_requests")
    named: dict[str, Any] = {name: row.get(name) for name in ("team", "key", "model", "day")}
    named |= {name: int(row[name] or 0) for name in counts}
    named |= {name: summed(row, name) for name in ("prompt_tokens", "completion_tokens")}
    return UsageSum(**named, cost=money(summed(row, "cost")))


async def list_usage(
    database: Database, asked: UsageQuery, limit: int = 100, before: UsageRow | None = None
) -> list[UsageRow]:
    """Return requests that match, newest first; go on after the last one of a page with it as `before`."""
    columns = [usage.c[name] for name in UsageRow.__slots__]
    query = select(*columns).order_by(usage.c.at.desc(), usage.c.request_id.desc()).limit(limit)
    if before is not None:
        at, named = usage.c.at, usage.c.request_id
        query = query.where((at < before.at) | ((at == before.at) & (named < before.request_id)))
    async with database.begin() as connection:
        found = (await connection.execute(_matching(query, asked))).mappings()
        return [UsageRow(**row) for row in found]
