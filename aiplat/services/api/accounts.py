"""Keys, teams and budgets as documents of the API; keeping them is aiplat.services.store's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from aiplat.moments import reached
from aiplat.services.api.documents import Document
from aiplat.services.store.budgets import Budget, BudgetState, Unit
from aiplat.services.store.keys import KeyRecord, NewKey, OnOutage, Role
from aiplat.services.store.money import amount
from aiplat.services.store.teams import Team
from aiplat.services.store.windows import Period

TEAM = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
# Narrow enough that a secret in the wrong place is refused before it reaches a query.
KEY_ID = TEAM
MODEL = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,190}\*?$|^\*$"


def _whole(value: object) -> object:
    # To JSON 5.0 is 5, but true and "5" are not numbers.
    if isinstance(value, bool | str):
        raise ValueError("expected a number")
    return value


PerMinute = Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(_whole)] | None
Models = Annotated[tuple[Annotated[str, Field(pattern=MODEL)], ...], Field(max_length=100)]
Title = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["ci"])]
Description = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
TeamName = Annotated[str, Field(pattern=TEAM, examples=["ward-3"])]

# A default that stands in the description would be sent by clients made from it, and change something.
_LEFT_OUT: Any = Field(default_factory=lambda: None)


def _written(value: object) -> object:
    # Numbers would be read as seconds since 1970, which nobody means.
    if not isinstance(value, str | datetime) or (isinstance(value, str) and "T" not in value.upper()):
        raise ValueError("expected a date and time with its zone, such as 2026-01-31T12:00:00Z")
    return value


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_written),
    AfterValidator(reached),
    Field(examples=["2026-01-31T12:00:00Z"]),
]


class Span(Document):
    """A time from one moment to another; left out, it has no beginning or no end."""

    since: Moment | None = Field(default=None, description="Those from here on.")
    until: Moment | None = Field(default=None, description="Those before this.")


class KeyView(Document):
    """An API key, without its secret: who may use it, for what, until when."""

    id: str
    name: str
    team: str = Field(description="Empty where the key belongs to no team.")
    role: Role
    models: tuple[str, ...] = Field(
        description="Models it may use, `*` at the end stands for anything; empty: all."
    )
    on_outage: OnOutage
    requests_per_minute: int | None
    tokens_per_minute: int | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    rotated_at: datetime | None
    owner: str = Field(description="Whose of the people it is; empty where it is nobody's own.")

    @classmethod
    def of(cls, record: KeyRecord) -> KeyView:
        """Return a key's record as a document."""
        return cls(**{name: getattr(record, name) for name in cls.model_fields})


class IssuedKeyView(Document):
    """A new key with its secret, which is shown this once and kept nowhere."""

    key: KeyView
    secret: str = Field(examples=["sk-aiplat-…"])


class KeyWish(Document):
    """A key that is asked for."""

    name: Title
    team: Literal[""] | TeamName = ""
    role: Role = "member"
    models: Models = ()
    on_outage: OnOutage = "serve"
    requests_per_minute: PerMinute = None
    tokens_per_minute: PerMinute = None
    expires_at: Moment | None = None

    def as_new_key(self) -> NewKey:
        """Return the wish as the store takes it."""
        return NewKey(**{name: getattr(self, name) for name in type(self).model_fields})


class OwnKeyWish(Document):
    """A key that a person asks for: in the person's team, with the role member."""

    name: Title
    models: Models = ()
    expires_at: Moment | None = None


class KeyChange(Document):
    """What is to be different about a key; what is left out stays."""

    name: Title = _LEFT_OUT
    models: Models = _LEFT_OUT
    on_outage: OnOutage = _LEFT_OUT
    requests_per_minute: PerMinute = _LEFT_OUT
    tokens_per_minute: PerMinute = _LEFT_OUT
    expires_at: Moment | None = _LEFT_OUT


class Rotation(Document):
    """How long the old secret stays good."""

    grace_seconds: Annotated[int, Field(ge=0, le=7 * 24 * 3600), BeforeValidator(_whole)] = 0


class TeamView(Document):
    """A team: whose keys share models, limits and budgets."""

    name: TeamName
    description: str
    models: tuple[str, ...]
    requests_per_minute: int | None
    tokens_per_minute: int | None
    created_at: datetime

    @classmethod
    def of(cls, team: Team) -> TeamView:
        """Return a team as a document."""
        return cls(**{name: getattr(team, name) for name in cls.model_fields})


class TeamWish(Document):
    """A team that is to be made."""

    name: TeamName
    description: Description = ""
    models: Models = ()
    requests_per_minute: PerMinute = None
    tokens_per_minute: PerMinute = None


class TeamChange(Document):
    """What is to be different about a team; what is left out stays."""

    description: Description = _LEFT_OUT
    models: Models = _LEFT_OUT
    requests_per_minute: PerMinute = _LEFT_OUT
    tokens_per_minute: PerMinute = _LEFT_OUT


class MoneyBudget(Document):
    """How much money may be used in a day or a month (UTC)."""

    unit: Literal["money"]
    period: Period
    limit: str = Field(pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?$", examples=["12.50"])


class CountBudget(Document):
    """How many tokens or requests may be used in a day or a month (UTC)."""

    unit: Literal["tokens", "requests"]
    period: Period
    limit: Annotated[int, Field(ge=0, le=9 * 10**9), BeforeValidator(_whole)]


BudgetWish = Annotated[MoneyBudget | CountBudget, Field(discriminator="unit")]


class BudgetView(Document):
    """A budget and how much of it is used in the day or month that is now; amounts are decimal numbers."""

    unit: Unit
    period: Period
    limit: str
    used: str
    window_start: date
    window_end: date

    @classmethod
    def of(cls, state: BudgetState) -> BudgetView:
        """Return a budget's state as a document."""
        return cls(
            unit=state.budget.unit,
            period=state.budget.period,
            limit=amount(state.budget.limit),
            used=amount(state.used),
            window_start=state.window_start,
            window_end=state.window_end,
        )


class Budgets(Document):
    """The budgets of a key or a team."""

    budgets: tuple[BudgetView, ...]

    @classmethod
    def of(cls, states: Iterable[BudgetState]) -> Budgets:
        """Return the states of budgets as a document."""
        return cls(budgets=tuple(map(BudgetView.of, states)))


def budget_of(wish: MoneyBudget | CountBudget, scope: Literal["key", "team"], subject: str) -> Budget:
    """Return the budget that is asked for a key or a team."""
    return Budget(scope, subject, wish.unit, wish.period, Decimal(wish.limit))
