"""What a request may use of its key's budgets: all it may come to, or as much as is left, or nothing."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import NamedTuple

from aiplat.services.gateway.accounts.account_cache import AccountCache
from aiplat.services.gateway.accounts.budget_leases import (
    BudgetLease,
    BudgetLeases,
    Reservation,
    enough,
    hold,
)
from aiplat.services.gateway.accounts.prices import PriceList
from aiplat.services.gateway.http import errors
from aiplat.services.gateway.requests.auth import ApiKey
from aiplat.services.gateway.requests.usage import TokenUsage
from aiplat.services.store.budgets import Unit
from aiplat.services.store.faults import Unreachable

# An answer that is cut shorter helps nobody: then the request is refused.
LEAST_ANSWER = 16

_Needs = list[tuple[BudgetLease, int]]


class Allowed(NamedTuple):
    """What was set aside for a request.

    `models` are those it is enough for, None for every one that the key may use. `most` is how many tokens
    each answer may have where what is left is not enough for what was asked; `guess` then goes by it.
    """

    held: Sequence[Reservation] = ()
    models: frozenset[str] | None = None
    most: int | None = None
    guess: TokenUsage = TokenUsage()


class Allowance:
    """Sets aside what requests may use."""

    def __init__(self, cache: AccountCache, leases: BudgetLeases, prices: PriceList) -> None:
        self._cache = cache
        self._leases = leases
        self._prices = prices

    async def of(self, key: ApiKey, targets: list[str], guess: TokenUsage, answers: int) -> Allowed:
        """Set aside what a request may come to: with the dearest of `targets`, else with the first alone.

        Where the first does not fit either, its `answers` are bound to what is left.

        Raises:
            ApiError: 429 or 503.
        """
        budgets = [(self._leases.find(n, b), b.unit) for n, b in self._cache.budgets_of(key)]
        if not budgets:
            return Allowed()
        alone = self._needs(budgets, targets[:1], guess)
        dearest = self._needs(budgets, targets, guess) if len(targets) > 1 else alone
        if enough(dearest):
            return Allowed(hold(dearest))
        held, short = await self._reserve(key, dearest)
        if short is None:
            return Allowed(held)
        if alone != dearest:
            held, short = await self._reserve(key, alone)
        if short is None:
            return Allowed(held, self._within(targets, budgets, alone, guess))
        return self._rest(budgets, targets, guess, answers)

    def _needs(self, budgets: list[tuple[BudgetLease, Unit]], models: list[str], guess: TokenUsage) -> _Needs:
        if len(models) == 1:
            return [(s, self._amount(models[0], unit, guess)) for s, unit in budgets]
        return [(s, max(self._amount(model, unit, guess) for model in models)) for s, unit in budgets]

    def _amount(self, model: str, unit: Unit, usage: TokenUsage) -> int:
        if unit == "requests":
            return 1
        return usage.prompt + usage.completion if unit == "tokens" else self._prices.cost(model, usage)

    def _within(
        self, models: list[str], budgets: list[tuple[BudgetLease, Unit]], most: _Needs, guess: TokenUsage
    ) -> frozenset[str]:
        """Return the models that come to no more than `most`."""
        limits = [limit for _, limit in most]
        return frozenset(
            model
            for model in models
            if all(self._amount(model, u, guess) <= m for (_, u), m in zip(budgets, limits, strict=True))
        )

    async def _reserve(self, key: ApiKey, needs: _Needs) -> tuple[list[Reservation], BudgetLease | None]:
        try:
            held, short = await self._leases.reserve(needs, ask=not self._cache.outage)
        except Unreachable as error:
            self._cache.failed(error)
            if key.on_outage == "refuse":
                raise errors.accounts_unreachable() from None
            held, short = await self._leases.reserve(needs, ask=False)
        if short is None:
            return held, None
        used_up = any(s.used_up for s, need in needs if need)
        if self._cache.outage and not used_up:
            # More cannot be leased now, and the key says to serve: what is used is counted all the same.
            return hold(needs), None
        return held, short

    def _rest(
        self, budgets: list[tuple[BudgetLease, Unit]], targets: list[str], guess: TokenUsage, answers: int
    ) -> Allowed:
        """Set aside what is left for the first of `targets`, and bound its answers to that."""
        budgets = [(s, unit) for s, unit in budgets if not s.gone]
        for found, need in self._needs(budgets, targets[:1], guess):
            if need > found.left:
                _refuse_what_can_wait(found, need)

        def needs(each: int) -> _Needs:
            return self._needs(budgets, targets[:1], TokenUsage(guess.prompt, each * answers))

        def fits(each: int) -> bool:
            return all(need <= found.left for found, need in needs(each))

        most = guess.completion // answers
        least = min(LEAST_ANSWER, most)
        for found, need in needs(least):
            if need > found.left:
                raise _too_little(found, need)
        # The longest answer that fits: `bisect` finds the first that does not.
        each = least + bisect.bisect_left(range(least + 1, most + 1), True, key=lambda n: not fits(n))
        lowered = TokenUsage(guess.prompt, each * answers, estimated=True)
        models = self._within(targets, budgets, needs(each), lowered)
        return Allowed(hold(needs(each)), models, each or None, lowered)


def _refuse_what_can_wait(found: BudgetLease, need: int) -> None:
    """Refuse a request for which there is more after a while: when others are answered, or tomorrow."""
    if found.used_up:
        raise errors.budget_used_up(_whose(found), found.described(), found.seconds_left())
    if need <= found.unused or found.reserved:
        raise errors.budget_reserved(_whose(found), found.described())


def _too_little(found: BudgetLease, need: int) -> errors.ApiError:
    if need <= found.unused:
        return errors.budget_reserved(_whose(found), found.described())
    return errors.budget_too_small(_whose(found), found.described(), found.seconds_left())


def _whose(found: BudgetLease) -> str:
    return f"the {found.budget.scope} {found.budget.subject}"
