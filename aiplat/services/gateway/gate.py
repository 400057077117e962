"""Decides whether a request may go on, and keeps account of it: scopes, rates, budgets, usage, audit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiplat.services.bounds import REMEMBERED
from aiplat.services.gateway import refusals
from aiplat.services.gateway.account_metrics import AccountMetrics
from aiplat.services.gateway.allowance import Allowance
from aiplat.services.gateway.auth import Key
from aiplat.services.gateway.book import Book
from aiplat.services.gateway.calls import Asked
from aiplat.services.gateway.exchange import Exchange
from aiplat.services.gateway.fields import answers, bound, lower
from aiplat.services.gateway.models import Model, ModelTable
from aiplat.services.gateway.prices import Prices
from aiplat.services.gateway.rates import Rates
from aiplat.services.gateway.recorder import Item
from aiplat.services.gateway.refusals import Refusal
from aiplat.services.gateway.slices import Held, Slices, settle
from aiplat.services.gateway.usage import Record
from aiplat.services.store.audit import AuditEntry
from aiplat.services.store.usage import UsageRow

_AUDIT_AGAIN = 60.0


@dataclass(slots=True)
class _Account:
    """What is kept of an admitted request until it is settled."""

    key: Key
    at: datetime
    held: list[Held] = field(default_factory=list)
    # The models that what is set aside is enough for; None for every one that the key may use.
    models: frozenset[str] | None = None


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
        self._allowance = Allowance(ledger.book, ledger.slices, ledger.prices)
        self._audited: dict[tuple[str, ...], float] = {}

    def let_ask(self, exchange: Exchange) -> None:
        """Ask the rates, before the body is read: a request that may not be asked shall hold no memory.

        Raises:
            Refusal: 429.
        """
        if exchange.key is None:
            raise refusals.no_key()
        try:
            self._check_rates(exchange.key)
        except Refusal as refusal:
            self._to.metrics.refused(refusal.code or "other")
            raise

    async def admit(self, exchange: Exchange, asked: Asked) -> None:
        """Let a request go on that its key's scopes, rates and budgets allow, and set aside what it may use.

        Raises:
            Refusal: 403, 429 or 503.
        """
        key = exchange.key
        if key is None:
            raise refusals.no_key()
        try:
            exchange.account = await self._admitted(exchange, asked, key)
        except Refusal as refusal:
            self._to.metrics.refused(refusal.code or "other")
            if refusal.code in {"model_not_allowed", "insufficient_quota"}:
                self._audit_once(key.id, f"refused.{refusal.code}", asked.model.name)
            raise

    async def _admitted(self, exchange: Exchange, asked: Asked, key: Key) -> _Account:
        if not exchange.may_use(asked.model):
            raise refusals.model_not_allowed(asked.model.name)
        if self._to.book.outage and key.on_outage == "refuse":
            raise refusals.accounts_unreachable()
        account = _Account(key, datetime.now(UTC))
        targets = [asked.model.name, *self._fallbacks(exchange, asked.model)]
        count = answers(exchange.path, asked.document)
        allowed = await self._allowance.of(key, targets, exchange.guess, count)
        account.held, account.models = allowed.held, allowed.models
        if account.held and bound(exchange.path, asked.document) is None:
            exchange.set_aside = exchange.guess.completion // count
        if allowed.most is not None:
            exchange.guess = allowed.guess
            lower(exchange.path, asked.document, allowed.most)
            exchange.more_headers.append((b"x-aiplat-max-tokens", b"%d" % allowed.most))
        return account

    def _fallbacks(self, exchange: Exchange, model: Model) -> list[str]:
        names = model.fallbacks or self._to.table.fallbacks.get(model.name)
        if not names:
            return []
        found = [m for name in names if (m := self._to.table.find(name)) is not None]
        return [m.name for m in found if exchange.may_use(m)]

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

    def may_use(self, exchange: Exchange, model: str) -> bool:
        """Whether a fallback may answer: the key may use it, and what it costs was set aside."""
        found = self._to.table.find(model)
        if found is None or not exchange.may_use(found):
            return False
        account = exchange.account
        return not isinstance(account, _Account) or account.models is None or found.name in account.models

    def settle(self, exchange: Exchange, record: Record) -> None:
        """Count what an admitted request came to, and have it written down."""
        account = exchange.account
        if not isinstance(account, _Account):
            return
        exchange.account = None
        charged = record.status < 400 and (record.status or record.usage.prompt)
        cost = self._to.prices.cost(record.model, record.usage) if charged else 0
        used = record.usage
        amounts = {"requests": 1, "tokens": used.prompt + used.completion, "money": cost}
        for held in account.held:
            settle(held, amounts[held.slice.budget.unit])
        self._spend_rates(account.key, amounts["tokens"])
        self._to.metrics.cost(account.key.id, record.model, cost)
        self._to.record(self._row(exchange, record, account, cost))

    def _spend_rates(self, key: Key, tokens: int) -> None:
        team = self._to.book.teams.get(key.team)
        for scope, name, limits in (("key", key.id, key), ("team", key.team, team)):
            if limits is not None and limits.tokens_per_minute:
                self._to.rates.spend((scope, name, "tokens"), limits.tokens_per_minute, tokens)

    def _row(self, exchange: Exchange, record: Record, account: _Account, cost: int) -> UsageRow:
        model = self._to.table.find(record.model)
        # Admitted, so what it was refused by is not its accounts: somebody failed to answer it.
        outcome = "failed" if record.outcome == "refused" else record.outcome
        return UsageRow(
            request_id=exchange.own_id,
            client_request_id=exchange.client_id.decode() or None,
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
        if len(self._audited) >= REMEMBERED:
            self._audited.clear()
        self._audited[actor, event, subject] = now
        self._write_audit(actor, event, subject, {})

    def _write_audit(self, actor: str, event: str, subject: str, facts: dict[str, str]) -> None:
        self._to.record(AuditEntry(actor, event, subject, "gateway", facts, datetime.now(UTC)))
