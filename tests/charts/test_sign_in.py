"""What the site's values make of the sign-in's configuration."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from tests.charts.conftest import VALUES, Helm, documents

MAIL = {"host": "smtp.ward.test", "port": 587, "tls": "true", "user": "aiplat", "password": "SECRET-smtp"}


def made(helm: Helm, charts: dict[str, Path], *given: str, refused: bool = False) -> str:
    """Return what helm renders with more values, or its words where it refuses them."""
    more = [word for one in given for word in ("--set", one)]
    base = ("template", "canaille", charts["canaille"], "-n", "aiplat-access")
    done = helm(*base, "-f", VALUES / "values-canaille.yaml", *more)
    assert (done.returncode != 0) is refused, done.stderr
    return done.stderr if refused else done.stdout


def config(text: str) -> dict[str, Any]:
    """Return Canaille's configuration."""
    return tomllib.loads(
        next(d for d in documents(text) if d["kind"] == "ConfigMap")["data"]["canaille.toml"]
    )


def test_mail_is_configured_and_its_password_is_a_secret(helm: Helm, charts: dict[str, Path]) -> None:
    """The way to the mail server alone is opened; the password is in no ConfigMap."""
    egress = ("egressTo[0].cidr=203.0.113.7/32", "egressTo[0].port=587")
    text = made(helm, charts, *(f"mail.{name}={value}" for name, value in MAIL.items()), *egress)
    assert config(text)["CANAILLE"]["SMTP"] == {
        "HOST": "smtp.ward.test",
        "PORT": 587,
        "TLS": True,
        "LOGIN": "aiplat",
        "FROM_ADDR": "login@ward-3.internal",
    }
    assert [d["metadata"]["name"] for d in documents(text) if "SECRET-smtp" in str(d)] == ["canaille-mail"]
    policy = next(d for d in documents(text) if d["kind"] == "NetworkPolicy")
    assert policy["spec"]["egress"][0]["ports"] == [{"protocol": "TCP", "port": 587}]


def test_lifetimes_and_factors_are_the_sites(helm: Helm, charts: dict[str, Path]) -> None:
    """Sessions, tokens and links alike; a factor that is guessed in a day is refused."""
    found = config(made(helm, charts, "hours.session=1", "hours.link=2", "factors={password,otp}"))
    assert found["PERMANENT_SESSION_LIFETIME"] == "PT1H"
    assert found["OAUTH2_TOKEN_EXPIRES_IN"] == {"authorization_code": 3600, "refresh_token": 3600}
    assert found["CANAILLE"]["AUTHENTICATION_FACTORS"] == ["password", "otp"]
    assert found["CANAILLE"]["OTP_LIFETIME"] == "PT2H"
    assert "factors" in made(helm, charts, "factors={email}", refused=True)


def test_pods_start_again_with_another_configuration_or_other_clients(
    helm: Helm, charts: dict[str, Path]
) -> None:
    """Both are read once, at the start."""
    texts = [made(helm, charts), made(helm, charts, "clients=other"), made(helm, charts, "hours.link=2")]
    notes = [
        tuple(d["spec"]["template"]["metadata"]["annotations"].values())
        for text in texts
        for d in documents(text)
        if d["kind"] == "Deployment"
    ]
    assert len(set(notes)) == 3
