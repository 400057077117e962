"""What a request costs, from prices per token that the site sets; where the prices come from is not here."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

from aiplat.services.bounds import MOST_COST
from aiplat.services.gateway.requests.usage import TokenUsage

_NANO = 1_000_000_000
_MILLION = 1_000_000


class TokenPrice(BaseModel):
    """What a model costs in the site's currency: per million tokens in and out, and per request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: Decimal = Field(default=Decimal(0), ge=0, le=1_000_000)
    completion: Decimal = Field(default=Decimal(0), ge=0, le=1_000_000)
    request: Decimal = Field(default=Decimal(0), ge=0, le=1_000_000)


class PriceList:
    """Prices by model, `*` for those that are not named; in billionths, as costs are kept."""

    def __init__(self, prices: Mapping[str, TokenPrice]) -> None:
        self._prices = {
            name: (int(p.prompt * _NANO), int(p.completion * _NANO), int(p.request * _NANO))
            for name, p in prices.items()
        }

    def cost(self, model: str, usage: TokenUsage) -> int:
        """Return the cost of a request, in billionths of the site's currency."""
        price = self._prices.get(model) or self._prices.get("*")
        if price is None:
            return 0
        prompt, completion, request = price
        tokens = usage.prompt * prompt + usage.completion * completion
        return min((tokens + _MILLION // 2) // _MILLION + request, MOST_COST)
