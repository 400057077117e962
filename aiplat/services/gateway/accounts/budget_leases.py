"""Budgets as this process holds them: leases from the database, what requests reserve, what was used.

Bound: a request sets aside what it may use before it is sent on, with the dearest model that may answer it,
so all processes together exceed a budget at most by what requests under way use beyond what was set aside for
them. That is nothing where a limit is named, by the client or by `allowance`, and a prompt is not longer than
guessed. What a process used in the last second before it was killed, its answers under way then, and what is
served while the database cannot be asked, come on top.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import NamedTuple

from aiplat.errors import Finding
from aiplat.services.gateway.accounts.timeouts import within
from aiplat.services.store.budgets import Budget
from aiplat.services.store.database import Database
from aiplat.services.store.faults import Unreachable
from aiplat.services.store.leases import Demand, Grant, lease
from aiplat.services.store.money import shown, whole
from aiplat.services.store.windows import Period, seconds_left, window_start

_SHARE = 50  # a lease is at least a 50th of the budget
_AHEAD = 4  # and enough for so many requests like the one that asks
_ASK_AGAIN = 0.25
_IDLE = 10.0
_HEARTBEAT = 20.0
_LEASE_SECONDS = 2.0
_DAY = 86400


class BudgetLease:
    """One window of a budget. What may still be set aside is `granted - used - reserved`."""

    def __init__(self, number: int, budget: Budget, start: date) -> None:
        self.budget = budget
        self.window = (number, start)
        self.limit = whole(budget.limit, budget.unit)
        self.granted = self.used = self.reserved = self.others_used = 0
        self.told_used = 0
        self.asked_at = self.wanted_at = self.leased_at = -_HEARTBEAT
        self.short = self.gone = False

    @property
    def left(self) -> int:
        """What may still be set aside."""
        return self.granted - self.used - self.reserved

    @property
    def used_up(self) -> bool:
        """Whether everybody together has used the whole budget, as far as is known."""
        return self.unused <= 0

    @property
    def unused(self) -> int:
        """What nobody has used yet, as far as is known; some of it may be set aside, here or elsewhere."""
        return self.limit - self.used - self.others_used

    def wanted(self, need: int) -> int:
        """Return how much to hold in all to serve `need` and what will follow it."""
        return self.used + self.reserved + max(need * _AHEAD, self.limit // _SHARE, 1)

    def seconds_left(self) -> int:
        """Return the seconds until the budget begins again."""
        return seconds_left(self.budget.period, datetime.now(UTC))

    def described(self) -> str:
        """Return the budget in words, as `1000 tokens per day`."""
        amount = f"{shown(self.limit, self.budget.unit).normalize():f}"
        return f"{amount} {self.budget.unit} per {self.budget.period}"


class Reservation(NamedTuple):
    """What a request has set aside of one lease."""

    lease: BudgetLease
    amount: int


class BudgetLeases:
    """All leases of this process; `replica` names it to the database."""

    def __init__(self, database: Database, replica: str) -> None:
        self._database = database
        self._replica = replica
        self._leased: dict[tuple[int, date], BudgetLease] = {}
        self._leasing = asyncio.Lock()
        self._failed_at = -_ASK_AGAIN
        self._starts: dict[Period, date] = {}
        self._starts_until = 0.0

    def _start(self, period: Period) -> date:
        # Asked on every request, and another one only at midnight.
        if time.time() >= self._starts_until:
            now = datetime.now(UTC)
            self._starts = {"day": window_start("day", now), "month": window_start("month", now)}
            self._starts_until = (int(now.timestamp()) // _DAY + 1) * _DAY
        return self._starts[period]

    def find(self, number: int, budget: Budget) -> BudgetLease:
        """Return the lease of a budget's present window."""
        window = (number, self._start(budget.period))
        found = self._leased.get(window)
        if found is None:
            found = self._leased[window] = BudgetLease(number, budget, window[1])
        elif found.budget is not budget:
            found.budget, found.limit = budget, whole(budget.limit, budget.unit)
        return found

    async def reserve(
        self, needs: list[tuple[BudgetLease, int]], ask: bool
    ) -> tuple[list[Reservation], BudgetLease | None]:
        """Set aside what a request may use, in all leases or in none.

        `ask` says whether the database may be asked for more. Returns what is held, and the first lease
        that has not enough left, if any.

        Raises:
            Unreachable: the database does not answer; nothing is held.
        """
        # What costs nothing is held to be settled, and not refused where a budget has nothing left.
        if ask and any(s.left < need for s, need in needs):
            await self._more([(s, need) for s, need in needs if need])
        needs = [(s, need) for s, need in needs if not s.gone]
        short = next((s for s, need in needs if need and s.left < need), None)
        if short is not None:
            return [], short
        return hold(needs), None

    async def _more(self, needs: list[tuple[BudgetLease, int]]) -> None:
        # Many requests may find the same lease empty at once: the first asks, the others use the answer.
        async with self._leasing:
            now = time.monotonic()
            asking = [(s, need) for s, need in needs if _may_ask(s, need, now)]
            if asking:
                await self._lease([(s, Demand(s.window, s.used, s.wanted(need))) for s, need in asking])

    async def _lease(self, asking: list[tuple[BudgetLease, Demand]]) -> None:
        now = time.monotonic()
        for found, demand in asking:
            found.asked_at = now
            # What is given back must not be used while the answer is on its way.
            found.granted = min(found.granted, demand.wanted)
        if now - self._failed_at < _ASK_AGAIN:
            # Those who waited for their turn must not wait again, each for itself.
            raise Unreachable(Finding("budgets", "the database did not answer just now"))
        try:
            demands = [demand for _, demand in asking]
            grants = await within(_LEASE_SECONDS, lease(self._database, self._replica, demands))
        except Unreachable:
            self._failed_at = time.monotonic()
            raise
        for found, demand in asking:
            self._take(found, demand, grants.get(demand.window), now)

    def _take(self, found: BudgetLease, demand: Demand, grant: Grant | None, now: float) -> None:
        if grant is None:
            found.gone = True
            self._leased.pop(demand.window, None)
            return
        found.granted, found.others_used, found.limit = grant.granted, grant.others_used, grant.limit
        found.told_used, found.leased_at = demand.used, now
        found.short = grant.granted < demand.wanted

    async def sync(self) -> None:
        """Tell the database what was used, give back what lies idle, renew what is held.

        Raises:
            Unreachable: the database does not answer; everything stays as it is.
        """
        async with self._leasing:
            now = time.monotonic()
            demands = [(s, d) for s in self._leased.values() if (d := _due(s, now)) is not None]
            if demands:
                await self._lease(demands)
            self._forget()

    async def give_back(self) -> None:
        """Keep nothing but what was used: this process ends."""
        async with self._leasing:
            demands = [(s, Demand(s.window, s.used, s.used)) for s in self._leased.values()]
            if demands:
                await self._lease(demands)

    def _forget(self) -> None:
        ended = [
            s
            for s in self._leased.values()
            if s.window[1] != self._start(s.budget.period) and not s.reserved and s.told_used == s.used
        ]
        for found in ended:
            del self._leased[found.window]


def enough(needs: Iterable[tuple[BudgetLease, int]]) -> bool:
    """Whether everything that is needed is there, so that nobody need be asked: so for most requests."""
    # A plain loop: a generator costs several times as much for so few.
    for found, need in needs:
        if found.gone or found.granted - found.used - found.reserved < need:
            return False
    return True


def hold(needs: Iterable[tuple[BudgetLease, int]]) -> list[Reservation]:
    """Set aside what is there, at most what is needed."""
    held, now = [], time.monotonic()
    for found, need in needs:
        amount = max(0, min(need, found.left))
        found.reserved += amount
        found.wanted_at = now
        held.append(Reservation(found, amount))
    return held


def settle(reservation: Reservation, amount: int) -> None:
    """Count what a request came to, in place of what it had set aside."""
    reservation.lease.reserved -= reservation.amount
    reservation.lease.used += amount


def _may_ask(found: BudgetLease, need: int, now: float) -> bool:
    # Asking for a budget that has nothing left, at every request that wants it, would be a flood of its own.
    return found.left < need and (not found.short or now - found.asked_at >= _ASK_AGAIN)


def _due(found: BudgetLease, now: float) -> Demand | None:
    """Return what to say of a lease now; None where nothing has changed."""
    in_use = found.used + found.reserved
    idle = now - found.wanted_at > _IDLE and found.granted > in_use
    changed = found.used != found.told_used
    renew = found.granted > found.used and now - found.leased_at > _HEARTBEAT
    if not (idle or changed or renew):
        return None
    return Demand(found.window, found.used, in_use if idle else max(found.granted, in_use))
