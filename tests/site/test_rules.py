"""Corners of single rules that fixtures would only blur."""

from __future__ import annotations

from decimal import Decimal

import pytest

from aiplat.site.addresses import as_network, canonical, is_dns_name
from aiplat.site.findings import did_you_mean, render_path, shown
from aiplat.site.rules.quantities import parse_quantity
from aiplat.site.tokens import secret_form


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        (2, "2"),
        ("1.5Gi", "1610612736"),
        ("2k", "2000"),
        ("1e3", "1000"),
        (".5", "0.5"),
    ],
)
def test_quantities_are_read_as_kubernetes_does(text: object, amount: str) -> None:
    """Decimal and binary units, exponents and plain numbers."""
    assert parse_quantity(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "Gi", "-1", "1 Gi", "1GB", "1e999", True, None, "\u0661"])
def test_what_is_no_quantity_has_no_amount(text: object) -> None:
    """Negative amounts, unknown units, spaces and truth values are not quantities."""
    assert parse_quantity(text) is None


@pytest.mark.parametrize("name", ["s1", "s1.example.org", "S1.Example.org.", "3com.org", "a" * 63])
def test_dns_names(name: str) -> None:
    """Letters, digits, dashes and dots; a digit may begin a label."""
    assert is_dns_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "-a", "a-", "a..b", "a_b", "10.0.0.256", "a" * 64, "a." * 127 + "bc"]
)
def test_what_is_no_dns_name(name: str) -> None:
    """What ends in a number is a mistyped address."""
    assert not is_dns_name(name)


def test_equal_addresses_are_found_equal() -> None:
    """However an address is written, it is the same."""
    assert canonical("FD00:0::1") == canonical("fd00::1")
    assert canonical("S1.Example.Org.") == canonical("s1.example.org")


@pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.0/255.0.0.0", "10.0.0.0/-1", "10.0.0/8", "x/8", 10])
def test_what_is_no_network(text: object) -> None:
    """A network is an address and a length, nothing else."""
    assert as_network(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn",
        "hf_hub",
        "token",
        "https://example.org/a:b@c",
        "eyJ",
        "K10",
        "r8_x",
        "task-0123456789abcdef",
    ],
)
def test_ordinary_words_are_no_secrets(text: str) -> None:
    """A prefix alone is not yet a token."""
    assert secret_form(text) is None


def test_values_are_shown_on_one_line() -> None:
    """Control characters and long texts do not break a message, and secrets do not enter it."""
    assert shown("a\x1b[31m\nb") == '"a\\u001b[31m\\u000ab"'
    assert len(shown("x" * 500)) < 70
    assert shown("hf_0123456789abcdefghij") == "(a secret, not shown)"


def test_paths_read_like_code() -> None:
    """Indices in brackets, odd keys in quotes."""
    assert render_path(("hosts", 0, "ssh", "port")) == "hosts[0].ssh.port"
    assert render_path(("values", "nvidia.com/gpu")) == 'values["nvidia.com/gpu"]'


def test_hints_ignore_case() -> None:
    """The nearest word is found in whatever case it was written."""
    assert did_you_mean("PODCidr", ["podCIDR", "domain"]) == 'did you mean "podCIDR"?'
    assert did_you_mean("zzz", ["a", "b"], "one of") == "one of: a, b"
