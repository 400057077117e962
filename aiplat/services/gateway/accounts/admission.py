"""Decides whether a request may go on, and keeps account of it: scopes, rates, budgets, usage, audit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiplat.services.bounds import REMEMBERED
from aiplat.services.gateway.accounts.account_cache import AccountCache
from aiplat.services.gateway.accounts.allowance import Allowance, Allowed
from aiplat.services.gateway.accounts.budget_leases import BudgetLeases, settle
from aiplat.services.gateway.accounts.metrics import AccountMetrics
from aiplat.services.gateway.accounts.prices import PriceList
from aiplat.services.gateway.accounts.rate_limits import RateLimits
from aiplat.services.gateway.accounts.usage_writer import Item
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.http.errors import ApiError
from aiplat.services.gateway.requests.admitted import Admitted
from aiplat.services.gateway.requests.auth import ApiKey
from aiplat.services.gateway.requests.context import RequestContext
from aiplat.services.gateway.requests.fields import answers, bound
from aiplat.services.gateway.requests.usage import RequestRecord, TokenUsage
from aiplat.services.gateway.routing.models import Model, ModelTable
from aiplat.services.store.audit import AuditEntry
from aiplat.services.store.usage import UsageRow

_AUDIT_AGAIN = 60.0


@dataclass(frozen=True)
class AdmissionParts:
    """What admission works with; `record` takes usage and audit lines."""

    cache: AccountCache
    leases: BudgetLeases
    prices: PriceList
    table: ModelTable
    record: Callable[[Item], None]
    metrics: AccountMetrics
    replica: str
    rates: RateLimits = field(default_factory=RateLimits)


@dataclass(slots=True)
class _Account:
    """An admitted request whose use is charged to its key; `ids` are the gateway's own and the client's."""

    to: AdmissionParts
    key: ApiKey
    ids: tuple[str, str | None]
    allowed: Allowed
    estimate: TokenUsage
    answer_tokens: int | None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def bound(self) -> int | None:
        """The most tokens of each answer."""
        return self.allowed.most

    def covers(self, model: str) -> bool:
        """Whether what was set aside is enough for `model`."""
        return self.allowed.models is None or model in self.allowed.models

    def settle(self, record: RequestRecord) -> None:
        """Count what the request came to, and have it written down."""
        used = record.usage
        charged = record.status < 400 and (record.status or used.prompt)
        cost = self.to.prices.cost(record.model, used) if charged else 0
        amounts = {"requests": 1, "tokens": used.prompt + used.completion, "money": cost}
        for reservation in self.allowed.held:
            settle(reservation, amounts[reservation.lease.budget.unit])
        self._spend_rates(amounts["tokens"])
        self.to.metrics.cost(self.key.id, record.model, cost)
        self.to.record(self._row(record, cost))

    def _spend_rates(self, tokens: int) -> None:
        team = self.to.cache.teams.get(self.key.team)
        for scope, name, limits in (("key", self.key.id, self.key), ("team", self.key.team, team)):
            if limits is not None and limits.tokens_per_minute:
                self.to.rates.spend((scope, name, "tokens"), limits.tokens_per_minute, tokens)

    def _row(self, record: RequestRecord, cost: int) -> UsageRow:
        model = self.to.table.find(record.model)
        # Admitted, so what it was refused by is not its accounts: somebody failed to answer it.
        outcome = "failed" if record.outcome == "refused" else record.outcome
        own_id, client_id = self.ids
        return UsageRow(
            request_id=own_id,
            client_request_id=client_id,
            at=self.at,
            # As wide as the columns: a Secret's entry may have a longer name than a key's id.
            key=self.key.id[:63],
            team=self.key.team,
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
            replica=self.to.replica,
        )


class AccountsAdmission:
    """Admission of a gateway that has a database."""

    def __init__(self, parts: AdmissionParts) -> None:
        self._to = parts
        self._allowance = Allowance(parts.cache, parts.leases, parts.prices)
        self._audited: dict[tuple[str, ...], float] = {}

    def check_rates(self, key: ApiKey | None) -> None:
        """Ask the rates, before the body is read: a request that may not be asked shall hold no memory.

        Raises:
            ApiError: 429.
        """
        if key is None:
            raise errors.no_key()
        try:
            self._check_rates(key)
        except ApiError as error:
            self._to.metrics.refused(error.code or "other")
            raise

    async def admit(
        self, context: RequestContext, model: Model, document: dict[str, Any], estimate: TokenUsage
    ) -> Admitted:
        """Let a request go on that its key's scopes, rates and budgets allow, and set aside what it may use.

        Raises:
            ApiError: 403, 429 or 503.
        """
        key = context.key
        if key is None:
            raise errors.no_key()
        try:
            self._check_access(context, key, model)
            targets = [model.name, *self._fallbacks(context, model)]
            count = answers(context.path, document)
            allowed = await self._allowance.of(key, targets, estimate, count)
        except ApiError as error:
            self._to.metrics.refused(error.code or "other")
            if error.code in {"model_not_allowed", "insufficient_quota"}:
                self._audit_once(key.id, f"refused.{error.code}", model.name)
            raise
        unbound = allowed.held and bound(context.path, document) is None
        return _Account(
            self._to,
            key,
            (context.own_id, context.client_id.decode() or None),
            allowed,
            estimate=estimate if allowed.most is None else allowed.guess,
            answer_tokens=estimate.completion // count if unbound else None,
        )

    def _check_access(self, context: RequestContext, key: ApiKey, model: Model) -> None:
        if not context.may_use(model):
            raise errors.model_not_allowed(model.name)
        if self._to.cache.outage and key.on_outage == "refuse":
            raise errors.accounts_unreachable()

    def _fallbacks(self, context: RequestContext, model: Model) -> list[str]:
        names = model.fallbacks or self._to.table.fallbacks.get(model.name)
        if not names:
            return []
        found = [m for name in names if (m := self._to.table.find(name)) is not None]
        return [m.name for m in found if context.may_use(m)]

    def _check_rates(self, key: ApiKey) -> None:
        team = self._to.cache.teams.get(key.team)
        for scope, name, limits in (("key", key.id, key), ("team", key.team, team)):
            if limits is None:
                continue
            whose = f"the {scope} {name}"
            if (most := limits.tokens_per_minute) and (
                wait := self._to.rates.wait((scope, name, "tokens"), most)
            ):
                raise errors.rate_limited(whose, "tokens", most, wait)
            if (most := limits.requests_per_minute) and (
                wait := self._to.rates.take((scope, name, "requests"), most)
            ):
                raise errors.rate_limited(whose, "requests", most, wait)

    def audit(self, event: str, context: RequestContext, **facts: str) -> None:
        """Have an event of the data path written down."""
        actor = context.key.id if context.key else ""
        self._write_audit(actor, event, context.model, facts)

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
