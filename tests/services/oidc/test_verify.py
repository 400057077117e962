"""Which tokens are believed: of our issuer, for our client, in their time; how often the issuer is asked."""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from aiplat.services.bounds import (
    ISSUER_BYTES,
    ISSUER_FRESH_SECONDS,
    ISSUER_KEYS,
    ISSUER_RETRY_SECONDS,
    TOKEN_BYTES,
)
from aiplat.services.oidc.issuer import Issuer, IssuerAwayError
from aiplat.services.oidc.settings import SignIn
from aiplat.services.oidc.verify import TokenRefusedError, identity_of, verified
from tests.services.oidc.issuer import CURVE_KEY, KEY, NEXT_KEY, TestIssuer, public_jwk

pytestmark = pytest.mark.anyio

CLIENT = "portal-cli"
PEM = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


class Clock:
    """Tells the time that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return it."""
        return self.now


@pytest.fixture
def issuer() -> Iterator[TestIssuer]:
    """An issuer of the test's own."""
    issuer = TestIssuer(redirects={})
    yield issuer
    issuer.close()


def from_now(seconds: int) -> int:
    """Return the time so many seconds from now, as a token has it."""
    return int(time.time()) + seconds


def signed_with_the_public_key(issuer: TestIssuer) -> str:
    """Return a token that the issuer's public key signs, as if it were a shared secret."""
    # By hand: PyJWT refuses to make such a token.
    _, body, _ = issuer.token(CLIENT).split(".")
    header = urlsafe_b64encode(b'{"alg":"HS256","kid":"one","typ":"JWT"}').decode().rstrip("=")
    seal = hmac.new(PEM, f"{header}.{body}".encode(), "sha256").digest()
    return f"{header}.{body}.{urlsafe_b64encode(seal).decode().rstrip('=')}"


def signed_by_a_list(issuer: TestIssuer) -> str:
    """Return a token whose header names its algorithm as no token does."""
    _, body, seal = issuer.token(CLIENT).split(".")
    header = urlsafe_b64encode(b'{"alg":["RS256"],"kid":"one","typ":"JWT"}').decode().rstrip("=")
    return f"{header}.{body}.{seal}"


BENT: dict[str, Any] = {
    "signed by a list of algorithms": signed_by_a_list,
    "for another client": lambda i: i.token("open-webui"),
    "for another client too, which got it": lambda i: i.token(CLIENT, aud=[CLIENT, "x"], azp="x"),
    "asked for by another client": lambda i: i.token(CLIENT, azp="x"),
    "of another issuer": lambda i: i.token(CLIENT, iss="http://127.0.0.1:1"),
    "past its time": lambda i: i.token(CLIENT, iat=from_now(-900), exp=from_now(-120)),
    "of a time to come": lambda i: i.token(CLIENT, iat=from_now(3600), exp=from_now(7200)),
    "not good yet": lambda i: i.token(CLIENT, nbf=from_now(3600)),
    "without an end": lambda i: i.token(CLIENT, exp=None),
    "without a beginning": lambda i: i.token(CLIENT, iat=None),
    "of nobody": lambda i: i.token(CLIENT, sub=None),
    "for nobody": lambda i: i.token(CLIENT, aud=None),
    "not signed": lambda i: jwt.encode(i.claims(CLIENT), None, algorithm="none", headers={"kid": "one"}),
    "signed by HS256 with the public key": signed_with_the_public_key,
    "signed by another's key": lambda i: i.token(CLIENT, key=NEXT_KEY),
    "signed by a curve's key of an RSA key's name": lambda i: i.token(CLIENT, key=CURVE_KEY, alg="ES256"),
    "of an unknown key": lambda i: i.token(CLIENT, key=NEXT_KEY, kid="two"),
    "too long": lambda i: i.token(CLIENT, more="x" * TOKEN_BYTES),
    "altered": lambda i: i.token(CLIENT)[:-8] + "AAAAAAAA",
    "no token": lambda _: "a.b.c",
    "nothing": lambda _: "",
}


@pytest.mark.parametrize("bent", BENT)
async def test_a_token_that_is_not_right_is_refused(issuer: TestIssuer, bent: str) -> None:
    """Each is wrong in one thing, and a sentence says which without repeating the token."""
    token = BENT[bent](issuer)
    with pytest.raises(TokenRefusedError) as refused:
        await verified(Issuer(issuer.url), token, (CLIENT,))
    assert not token or token not in str(refused.value)


async def test_a_right_token_is_believed_though_clocks_are_half_a_minute_apart(issuer: TestIssuer) -> None:
    """Either way: issued in half a minute, or past its end since half a minute."""
    known, now = Issuer(issuer.url), int(time.time())
    for bent in ({}, {"iat": now + 30}, {"iat": now - 600, "exp": now - 30}, {"aud": [CLIENT]}):
        assert (await verified(known, issuer.token(CLIENT, **bent), (CLIENT,)))["sub"] == "u-1"


async def test_a_curves_key_does_as_well_and_an_only_key_needs_no_name(issuer: TestIssuer) -> None:
    """ES256 beside RS256; a key for encryption, or one that cannot be read, is none."""
    issuer.keys = [
        public_jwk(CURVE_KEY, "curve", "ES256"),
        {**public_jwk(KEY, "one"), "use": "enc"},
        {"kty": "RSA", "kid": "half"},
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
    ]
    known = Issuer(issuer.url)
    for kid in ("curve", None):
        token = issuer.token(CLIENT, key=CURVE_KEY, kid=kid, alg="ES256")
        assert (await verified(known, token, (CLIENT,)))["iss"] == issuer.url
    with pytest.raises(TokenRefusedError, match="key that the issuer does not have"):
        await verified(known, issuer.token(CLIENT), (CLIENT,))


async def test_without_a_client_of_the_command_line_no_token_is_taken(issuer: TestIssuer) -> None:
    """The company's issuer may have none for it."""
    with pytest.raises(TokenRefusedError, match="no client for the command line"):
        await verified(Issuer(issuer.url), issuer.token(CLIENT), ())


async def test_a_rotated_key_is_found_and_unknown_names_do_not_flood_the_issuer(issuer: TestIssuer) -> None:
    """The issuer is asked again for a name that is new, but not more than once in an interval."""
    clock = Clock()
    known = Issuer(issuer.url, clock=clock)
    await verified(known, issuer.token(CLIENT), (CLIENT,))
    for number in range(50):
        with pytest.raises(TokenRefusedError):
            await verified(known, issuer.token(CLIENT, key=NEXT_KEY, kid=f"k-{number}"), (CLIENT,))
    assert issuer.requests.count("/keys") == 1
    issuer.keys = [public_jwk(NEXT_KEY, "two")]
    clock.now += ISSUER_RETRY_SECONDS
    rotated = issuer.token(CLIENT, key=NEXT_KEY, kid="two")
    assert (await verified(known, rotated, (CLIENT,)))["sub"] == "u-1"
    assert issuer.requests.count("/keys") == 2
    with pytest.raises(TokenRefusedError, match="key that the issuer does not have"):
        await verified(known, issuer.token(CLIENT), (CLIENT,))


async def test_an_issuer_that_goes_away_is_still_believed_and_one_that_never_came_is_said(
    issuer: TestIssuer,
) -> None:
    """Keys that were had stay; without any the answer is that the issuer is away, quickly the second time."""
    clock = Clock()
    known, never = Issuer(issuer.url, clock=clock), Issuer(issuer.url, clock=clock)
    await verified(known, issuer.token(CLIENT), (CLIENT,))
    issuer.broken = True
    clock.now += ISSUER_FRESH_SECONDS
    assert await verified(known, issuer.token(CLIENT), (CLIENT,))
    asked = len(issuer.requests)
    for _ in range(5):
        with pytest.raises(Exception, match="sign-in"):
            await verified(never, issuer.token(CLIENT), (CLIENT,))
    assert len(issuer.requests) == asked + 1


async def test_an_issuer_is_read_within_limits(issuer: TestIssuer) -> None:
    """What lies behind so many keys, or so many bytes, is not there."""
    issuer.keys = [public_jwk(NEXT_KEY, f"k-{n}") for n in range(ISSUER_KEYS)] + issuer.keys
    with pytest.raises(TokenRefusedError, match="key that the issuer does not have"):
        await verified(Issuer(issuer.url), issuer.token(CLIENT), (CLIENT,))
    issuer.keys = [{**public_jwk(KEY, "one"), "x": "x" * ISSUER_BYTES}]
    with pytest.raises(IssuerAwayError):
        await verified(Issuer(issuer.url), issuer.token(CLIENT), (CLIENT,))


async def test_an_issuer_that_calls_itself_another_is_not_believed(issuer: TestIssuer) -> None:
    """A description that was copied from elsewhere says so by its own name."""
    with pytest.raises(IssuerAwayError, match="calls itself"):
        await verified(Issuer(f"{issuer.url}/"), issuer.token(CLIENT), (CLIENT,))


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["staff", "admin", "member"], "admin"),
        (["ops"], "operator"),
        ("member", "member"),
        (["staff"], None),
        ([], None),
        (None, None),
        ([["admin"], {"admin": 1}, 7], None),
        ({"admin": True}, None),
    ],
)
def test_the_highest_of_somebodys_groups_decides_and_nobody_enters_without_one(
    groups: Any, role: str | None
) -> None:
    """Whatever else the issuer says of somebody; a claim of another form gives nothing."""
    sign_in = SignIn(
        issuer="https://login.x.test",
        url="https://portal.x.test",
        groups={"admin": ("admin",), "operator": ("ops",), "member": ("member",)},
    )
    claims = {"sub": "u-1", "iat": 1, "groups": groups, "preferred_username": "ann\n\x1b[1m"}
    who = identity_of(sign_in, claims)
    assert (who.role, who.name) == (role, "ann[1m")
