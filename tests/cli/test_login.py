"""`aiplat login` is told who vouches for an issuer: by a file or in itself."""

from __future__ import annotations

import pytest

from tests.typed import Typed

WORDS = ["login", "--issuer", "https://login.ward-3.test"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--ca-data", "not base64"], "is not the base64 of certificates"),
        (["--ca-data", "Q0E="], "is not the base64 of certificates"),
        (["--ca-data", "Q0E=", "--ca", "ca.crt"], "says what --ca says too"),
        (["--ca", "no-such.pem"], "--ca: there is no file no-such.pem"),
        (["--ca", __file__], f"--ca: {__file__} has no certificate"),
    ],
)
def test_what_is_no_certificate_is_said_before_anybody_signs_in(
    more: list[str], said: str, monkeypatch: pytest.MonkeyPatch, typed: Typed
) -> None:
    """Bad input."""
    monkeypatch.setenv("COLUMNS", "140")
    code, _, err = typed(*WORDS, *more)
    assert code == 2
    assert said in err
