"""What a request used; reading it off the wire is for stream_parsers.

Named tuples, as are all small values that each request makes: a frozen dataclass takes four times as long.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class TokenUsage(NamedTuple):
    """Tokens of one request as the engine counted them; `estimated` when only frames could be counted."""

    prompt: int = 0
    completion: int = 0
    estimated: bool = False


class RequestRecord(NamedTuple):
    """One finished request. `seconds` is from its first byte in to its last byte out.

    `first_byte` is None when nothing was sent; `key` and `model` are empty when unknown.
    """

    key: str
    model: str
    endpoint: str
    status: int
    outcome: Literal["done", "refused", "failed", "client_left"]
    seconds: float
    first_byte: float | None
    usage: TokenUsage
