"""What the gateway refuses and how each API spells it; deciding to refuse belongs to the callers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiplat.services.request_id import error_ids

_KINDS = {403: "permission_error", 429: "rate_limit_error"}


@dataclass
class ApiError(Exception):
    """A request that gets an error as its answer.

    `code` and `kind` are OpenAI's `code` and `type`, the latter by the status if it is not given; `param`
    names the offending field. `retry_after` is in seconds and set where trying again may help.
    """

    status: int
    message: str
    code: str | None = None
    kind: str = ""
    param: str | None = None
    retry_after: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())

    def __post_init__(self) -> None:
        """Fill in the kind that goes with the status."""
        if not self.kind:
            fault = "server_error" if self.status >= 500 else "invalid_request_error"
            self.kind = _KINDS.get(self.status, fault)

    def all_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the extra response headers, `Retry-After` among them where it applies."""
        if self.retry_after is None:
            return self.headers
        return (*self.headers, (b"retry-after", str(self.retry_after).encode()))


def openai_body(error: ApiError) -> dict[str, Any]:
    """Return the error document that OpenAI's clients understand."""
    return {
        "error": {
            "message": error.message,
            "type": error.kind,
            "param": error.param,
            "code": error.code,
            **error_ids(),
        }
    }


def ollama_body(error: ApiError) -> dict[str, Any]:
    """Return the error document that Ollama's clients understand."""
    return {"error": error.message, **error_ids()}


def named(document: dict[str, Any]) -> dict[str, Any]:
    """Return an engine's own error document with the ids of the request, where ours have them."""
    error = document.get("error")
    if isinstance(error, dict):
        return {**document, "error": {**error, **error_ids()}}
    return {**document, **error_ids()}


def no_key() -> ApiError:
    """No key, or one that is not known."""
    return ApiError(
        401,
        "no valid API key was given; send one as 'Authorization: Bearer KEY' (`aiplat env` prints it)",
        code="invalid_api_key",
        headers=((b"www-authenticate", b"Bearer"),),
    )


def expired_key() -> ApiError:
    """The key was good until a time that has passed."""
    return ApiError(401, "this API key has expired; ask for a new one", code="expired_api_key")


def model_not_allowed(model: str) -> ApiError:
    """The key's scopes do not name the model."""
    return ApiError(
        403,
        f"this API key may not use the model '{model}'; GET /v1/models lists those it may",
        code="model_not_allowed",
        param="model",
    )


def rate_limited(whose: str, what: str, limit: int, wait: int) -> ApiError:
    """A key or team asks faster than it may; `wait` is in seconds."""
    return ApiError(
        429,
        f"{whose} may use {limit} {what} per minute; try again in {wait} s",
        code="rate_limit_exceeded",
        retry_after=wait,
    )


def budget_used_up(whose: str, budget: str, wait: int) -> ApiError:
    """A budget has nothing left in its window, which ends in `wait` seconds."""
    return ApiError(
        429,
        f"the budget of {whose} ({budget}) is used up; it begins again in {wait} s",
        kind="insufficient_quota",
        code="insufficient_quota",
        retry_after=wait,
    )


def budget_reserved(whose: str, budget: str) -> ApiError:
    """What is left of a budget is set aside for requests that are being answered."""
    return ApiError(
        429,
        f"what is left of the budget of {whose} ({budget}) is set aside for requests under way",
        code="budget_reserved",
        retry_after=1,
    )


def budget_too_small(whose: str, budget: str, wait: int) -> ApiError:
    """What is left of a budget is not enough for the prompt and the shortest answer."""
    return ApiError(
        429,
        f"what is left of the budget of {whose} ({budget}) is not enough for this request; ask for less, "
        f"or again in {wait} s",
        kind="insufficient_quota",
        code="insufficient_quota",
        retry_after=wait,
    )


def accounts_unreachable() -> ApiError:
    """Accounts cannot be asked now, and the key is to be refused then (or cannot be known)."""
    return ApiError(
        503,
        "accounts cannot be reached at the moment, and this key is not served without them",
        code="accounts_unreachable",
        retry_after=5,
    )


def no_such_model(name: str, known: list[str]) -> ApiError:
    """The model is not among those the site serves; the sentence lists them."""
    offer = ", ".join(known) if known else "none yet"
    return ApiError(
        404,
        f"The model '{name}' does not exist here; this site serves: {offer}",
        code="model_not_found",
        param="model",
    )


def no_such_path(method: str, path: str) -> ApiError:
    """The path is none of the gateway's."""
    return ApiError(404, f"Invalid URL ({method} {path})", code="unknown_url")


def wrong_method(method: str, path: str, allowed: tuple[str, ...]) -> ApiError:
    """The path is known, but not with this method."""
    offer = ", ".join(allowed)
    return ApiError(
        405,
        f"Not allowed to {method} {path}; use {offer}",
        code="method_not_allowed",
        headers=((b"allow", offer.encode()),),
    )


def too_large(limit: int) -> ApiError:
    """The request's body is over the limit (in bytes)."""
    return ApiError(413, f"the request is larger than {limit >> 20} MiB", code="request_too_large")


def bad_request(message: str, param: str | None = None) -> ApiError:
    """The body is not what the API asks for."""
    return ApiError(400, message, param=param)


def too_many_values(limit: int) -> ApiError:
    """The body is within its limit of bytes and would take many times as much memory."""
    return ApiError(413, f"the request has more than {limit} values", code="request_too_large")


def too_deep(limit: int) -> ApiError:
    """Lists and objects lie too deep inside of each other."""
    return ApiError(400, f"the body nests lists and objects deeper than {limit}")


def wrong_encoding(why: str) -> ApiError:
    """The body's content-encoding is none that is undone here."""
    return ApiError(415, f"the body's content-encoding: {why}", code="unsupported_encoding")


def key_is_busy() -> ApiError:
    """One key holds its share of the memory for requests."""
    return ApiError(
        429,
        "this API key has as many large requests under way as it may; try again when one is answered",
        code="too_many_large_requests",
        retry_after=1,
    )


def failed() -> ApiError:
    """Something went wrong here that nobody foresaw; what it was is in the log."""
    return ApiError(500, "the gateway failed to answer this", code="internal_error")


def said_error(status: int, model: str, message: str) -> ApiError:
    """The upstream said 200, and its document is an error."""
    return ApiError(
        status,
        f"the engine of the model '{model}' says: {message}",
        code="upstream_failed",
        retry_after=1,
    )


def not_ready(model: str) -> ApiError:
    """The model's engine does not accept connections at the moment."""
    return ApiError(
        503,
        f"the model '{model}' is not ready to answer yet; try again in a few seconds",
        code="model_not_ready",
        retry_after=5,
    )


def broken(model: str) -> ApiError:
    """The model's engine took the request and then failed."""
    return ApiError(
        502,
        f"the engine of the model '{model}' broke off its answer",
        code="upstream_failed",
        retry_after=1,
    )


def busy() -> ApiError:
    """The gateway holds as many request bytes as it may."""
    return ApiError(
        503,
        "the gateway holds as many large requests as it can; try again shortly",
        code="overloaded",
        retry_after=1,
    )


def too_many_wait(model: str) -> ApiError:
    """The model has no replica, and as many requests as may wait for one already do."""
    return ApiError(
        503,
        f"the model '{model}' is starting and too many requests wait for it already; try again shortly",
        code="queue_full",
        retry_after=5,
    )


def may_not_leave(model: str) -> ApiError:
    """The model is served outside of the site, and the site forbids that data leaves it."""
    return ApiError(
        403,
        f"the model '{model}' is served outside of this site, and this site forbids that data leaves it",
        code="egress_forbidden",
        param="model",
    )


def provider_refused(model: str) -> ApiError:
    """The provider did not take the gateway's own key; its words may quote it, so they are not passed."""
    return ApiError(
        502,
        f"the provider of the model '{model}' refused the gateway's key; its administrator must replace it",
        code="provider_refused",
    )
