"""What a request was admitted to; it is settled when its answer is done."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from aiplat.services.gateway.requests.usage import RequestRecord, TokenUsage


class Admitted(Protocol):
    """A request that may go on, and what was set aside for it.

    `estimate` is what it may use: the prompt of a request that was sent on and not counted is charged by it.
    `bound` is the most tokens each answer may have, where less is left than was asked for. `answer_tokens` is
    what is set aside for an answer whose request names no limit, where a budget is: a provider that wants a
    limit gets this one.
    """

    @property
    def estimate(self) -> TokenUsage:
        """What it may use."""

    @property
    def bound(self) -> int | None:
        """The most tokens of each answer, None for as many as it asks for."""

    @property
    def answer_tokens(self) -> int | None:
        """The tokens set aside for each answer whose request names no limit."""

    def covers(self, model: str) -> bool:
        """Whether what is set aside is enough for a model to answer."""

    def settle(self, record: RequestRecord) -> None:
        """Take what the request came to; called once, when its answer is done."""


class AdmittedFreely(NamedTuple):
    """A request that nobody keeps account of."""

    estimate: TokenUsage
    bound: int | None = None
    answer_tokens: int | None = None

    def covers(self, model: str) -> bool:  # noqa: ARG002 - the protocol's name
        """Say yes."""
        return True

    def settle(self, record: RequestRecord) -> None:
        """Keep no accounts."""
