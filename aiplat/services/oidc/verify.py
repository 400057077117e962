"""Whether a token is one of the site's sign-in, and who it is of; what that person may do is for callers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from aiplat.errors import AiplatError, Finding
from aiplat.services.bounds import TOKEN_BYTES
from aiplat.services.oidc.issuer import KINDS, Issuer
from aiplat.services.oidc.settings import SignIn
from aiplat.services.store.keys import Role

LEEWAY_SECONDS = 60
"""How far clocks may be apart."""
_REQUIRED = ["exp", "iat", "iss", "aud", "sub"]
_SHOWN = 200


class TokenRefusedError(AiplatError):
    """A token that is not to be believed."""


@dataclass(frozen=True)
class Claimed:
    """Who a token is of. `role` None: in none of the site's groups. `issued` is in Unix seconds.

    `tells_groups` is false where nothing was said of groups: some issuers tell them only when they are asked.
    `name` is what people are shown; `user` the claim that teams name people by, empty where it is not told.
    """

    issuer: str
    subject: str
    name: str
    role: Role | None
    issued: int
    tells_groups: bool = True
    user: str = ""


def looks_like_token(text: str) -> bool:
    """Whether a text has the form of a signed token; keys of ours never have."""
    return text.count(".") == 2


async def verified(issuer: Issuer, token: str, audiences: Collection[str]) -> dict[str, Any]:
    """Return the claims of a token that is of this issuer, for one of the audiences, and in its time.

    Raises:
        TokenRefusedError: it is not.
        IssuerAwayError: the issuer's keys cannot be had.
    """
    if not audiences:
        raise _refused("is not taken here: the sign-in has no client for the command line")
    if len(token) > TOKEN_BYTES:
        raise _refused("is longer than a token may be")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise _refused("cannot be read") from error
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in KINDS:
        raise _refused(f"is not signed by {' or '.join(KINDS)}")
    key = await issuer.key(str(header.get("kid", ""))[:_SHOWN], algorithm)
    if key is None:
        raise _refused("is signed by a key that the issuer does not have")
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=list(audiences),
            issuer=issuer.url,
            leeway=LEEWAY_SECONDS,
            options={"require": _REQUIRED},
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise _refused(_why(error)) from error
    if claims.get("azp", next(iter(audiences))) not in audiences:
        raise _refused("was made for another client")
    return claims


def identity_of(sign_in: SignIn, claims: Mapping[str, Any]) -> Claimed:
    """Return who verified claims are about."""
    subject = str(claims["sub"])
    named = next((claims[c] for c in (sign_in.user_claim, "name", "email") if claims.get(c)), subject)
    return Claimed(
        issuer=sign_in.issuer,
        subject=subject,
        name="".join(c for c in str(named) if c.isprintable())[:100] or "somebody",
        role=sign_in.role_of(claims.get(sign_in.groups_claim)),
        issued=int(claims["iat"]),
        tells_groups=sign_in.groups_claim in claims,
        user=str(claims.get(sign_in.user_claim) or ""),
    )


_WHY: tuple[tuple[type[Exception], str], ...] = (
    (jwt.ExpiredSignatureError, "is past its time"),
    (jwt.InvalidAudienceError, "was made for another client"),
    (jwt.InvalidIssuerError, "is of another issuer"),
    (jwt.ImmatureSignatureError, "is of a time that has not come; the clocks are more than a minute apart"),
    (jwt.MissingRequiredClaimError, "does not say all that a token must"),
    (jwt.InvalidSignatureError, "has a signature that is not the issuer's"),
)


def _why(error: Exception) -> str:
    return next((said for kind, said in _WHY if isinstance(error, kind)), "cannot be believed")


def _refused(problem: str) -> TokenRefusedError:
    return TokenRefusedError(Finding("token", problem, "sign in again"))
