"""Decides whether a request may go on, and keeps account of it: scopes, rates, budgets, usage, audit."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiplat.services.gateway import refusals
from aiplat.services.gateway.account_metrics import AccountMetrics
from aiplat.services.gateway.auth import Key
from aiplat.services.gateway.book import Book
from aiplat.services.gateway.calls import Asked
from aiplat.services.gateway.estimate import estimate
from aiplat.services.gateway.exchange import Exchange
from aiplat.services.gateway.models import ModelTable
from aiplat.services.gateway.prices import Prices
from aiplat.services.gateway.rates import Rates
from aiplat.services.gateway.recorder import Item
from aiplat.services.gateway.refusals import Refusal
from aiplat.services.gateway.slices import Held, Slice, Slices, hold, settle
from aiplat.services.gateway.usage import Record, Usage
from aiplat.services.store.audit import AuditEntry
from aiplat.services.store.faults import Unreachable
from aiplat.services.store.usage import UsageRow

_AUDIT_AGAIN = 60.0
_MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class _Account:
    """What is kept of an admitted request until it is settled."""

    key: Key
    at: datetime
    held: list[Held] = field(default_factory=list)


@dataclass(frozen=True)
class Ledger:
    """What a gate works with; `record` takes usage and audit lines."""

    book: Book
    slices: Slices
    prices: Prices
    table: ModelTable
    record: Callable[[Item], None]
    metrics: AccountMetrics
    replica: str
    rates: Rates = field(default_factory=Rates)


class AccountGate:
    """The gate of a gateway that has a database."""

    def __init__(self, ledger: Ledger) -> None:
        self._to = ledger
        self._audited: dict[tuple[str, ...], float] = {}

    async def admit(self, exchange: Exchange, asked: Asked) -> None:
        """Let a request go on that its key's scopes, rates and budgets allow, and set aside what it may use.

        Raises:
            Refusal: 403, 429 or 503.
        """
        key = exchange.key
        if key is None:
            raise refusals.no_key()
        try:
            held = await self._admitted(exchange, asked, key)
        except Refusal as refusal:
            self._to.metrics.refused(refusal.code or "other")
            if refusal.code in {"model_not_allowed", "insufficient_quota"}:
                self._audit_once(key.id, f"refused.{refusal.code}", asked.model.name)
            raise
        exchange.account = _Account(key, datetime.now(UTC), held)

    async def _admitted(self, exchange: Exchange, asked: Asked, key: Key) -> list[Held]:
        if not exchange.may_use(asked.model):
            raise refusals.model_not_allowed(asked.model.name)
        if self._to.book.outage and key.on_outage == "refuse":
            raise refusals.accounts_unreachable()
        self._check_rates(key)
        guess = estimate(exchange.path, asked.document, len(asked.raw))
        needs = self._needs(key, asked.model.name, guess)
        return await self._reserve(key, needs) if needs else []

    def _check_rates(self, key: Key) -> None:
        team = self._to.book.teams.get(key.team)
        for scope, name, limits in (("key", key.id, key), ("team", key.team, team)):
            if limits is None:
                continue
            whose = f"the {scope} {name}"
            if (most := limits.tokens_per_minute) and (
                wait := self._to.rates.wait((scope, name, "tokens"), most)
            ):
                raise refusals.rate_limited(whose, "tokens", most, wait)
            if (most := limits.requests_per_minute) and (
                wait := self._to.rates.take((scope, name, "requests"), most)
            ):
                raise refusals.rate_limited(whose, "requests", most, wait)

    def _needs(self, key: Key, model: str, guess: Usage) -> list[tuple[Slice, int]]:
        amounts = self._amounts(model, guess)
        found = [(self._to.slices.find(n, b), amounts[b.unit]) for n, b in self._to.book.budgets_of(key)]
        # What costs nothing does not use up a budget of money.
        return [(slice_, need) for slice_, need in found if need]

    def _amounts(self, model: str, usage: Usage) -> dict[str, int]:
        tokens = usage.prompt + usage.completion
        return {"requests": 1, "tokens": tokens, "money": self._to.prices.cost(model, usage)}

    async def _reserve(self, key: Key, needs: list[tuple[Slice, int]]) -> list[Held]:
        try:
            held, empty = await self._to.slices.reserve(needs, ask=not self._to.book.outage)
        except Unreachable as error:
            self._to.book.failed(error)
            if key.on_outage == "refuse":
                raise refusals.accounts_unreachable() from None
            held, empty = await self._to.slices.reserve(needs, ask=False)
        if empty is None:
            return held
        whose = f"the {empty.budget.scope} {empty.budget.subject}"
        if empty.used_up:
            raise refusals.budget_used_up(whose, empty.described(), empty.seconds_left())
        if self._to.book.outage:
            # More cannot be leased now, and the key says to serve: what is used is counted all the same.
            return hold(needs)
        raise refusals.budget_reserved(whose, empty.described())

    def may_use(self, exchange: Exchange, model: str) -> bool:
        """Whether a fallback may answer: one that the key could have asked for itself."""
        found = self._to.table.find(model)
        return found is not None and exchange.may_use(found)

    def settle(self, exchange: Exchange, record: Record) -> None:
        """Count what an admitted request came to, and have it written down."""
        account = exchange.account
        if not isinstance(account, _Account):
            return
        exchange.account = None
        cost = self._to.prices.cost(record.model, record.usage) if record.status < 400 else 0
        used = record.usage
        amounts = {"requests": 1, "tokens": used.prompt + used.completion, "money": cost}
        for held in account.held:
            settle(held, amounts[held.slice.budget.unit])
        self._spend_rates(account.key, amounts["tokens"])
        self._to.metrics.cost(account.key.id, record.model, cost)
        self._to.record(self._row(record, account, cost))

    def _spend_rates(self, key: Key, tokens: int) -> None:
        team = self._to.book.teams.get(key.team)
        for scope, name, limits in (("key", key.id, key), ("team", key.team, team)):
            if limits is not None and limits.tokens_per_minute:
                self._to.rates.spend((scope, name, "tokens"), limits.tokens_per_minute, tokens)

    def _row(self, record: Record, account: _Account, cost: int) -> UsageRow:
        model = self._to.table.find(record.model)
        # Admitted, so what it was refused by is not its accounts: somebody failed to answer it.
        outcome = "failed" if record.outcome == "refused" else record.outcome
        return UsageRow(
            # Never the client's own request id: one id used twice would count once.
            request_id=os.urandom(16).hex(),
            at=account.at,
            # As wide as the columns: a Secret's entry may have a longer name than a key's id.
            key=account.key.id[:63],
            team=account.key.team,
            model=record.model[:200],
            endpoint=record.endpoint,
            status=record.status,
            outcome=outcome,
            prompt_tokens=record.usage.prompt,
            completion_tokens=record.usage.completion,
            estimated=record.usage.estimated,
            cost_nano=cost,
            seconds=record.seconds,
            first_byte_seconds=record.first_byte,
            provider=model.provider if model else "",
            replica=self._to.replica,
        )

    def audit(self, event: str, exchange: Exchange, **facts: str) -> None:
        """Have an event of the data path written down."""
        actor = exchange.key.id if exchange.key else ""
        self._write_audit(actor, event, exchange.model, facts)

    def _audit_once(self, actor: str, event: str, subject: str) -> None:
        # Somebody who asks again and again is one fact, not a thousand.
        now = time.monotonic()
        if now - self._audited.get((actor, event, subject), -_AUDIT_AGAIN) < _AUDIT_AGAIN:
            return
        if len(self._audited) >= _MOST_REMEMBERED:
            self._audited.clear()
        self._audited[actor, event, subject] = now
        self._write_audit(actor, event, subject, {})

    def _write_audit(self, actor: str, event: str, subject: str, facts: dict[str, str]) -> None:
        self._to.record(AuditEntry(actor, event, subject, "gateway", facts, datetime.now(UTC)))
