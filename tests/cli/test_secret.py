"""`aiplat secret` as a person and a program meet it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from aiplat.actions.secret import MAX_BYTES
from aiplat.runs.journal import one_run_at_a_time
from aiplat.vault.password import PASSWORD_FILE
from aiplat.vault.store import read_secrets
from tests.typed import Typed

SITE = """\
apiVersion: aiplat.dev/v1alpha1
kind: Site
name: ward
hosts: [{name: s1, address: 10.0.0.11, role: server}]
planes:
  model:
    ollama: {values: {env: {password: {fromSecret: admin}}}}
"""
VALUE = "correct horse"


class Input(io.TextIOWrapper):
    """Standard input: a pipe, or where a test says so a terminal."""

    terminal = False

    def isatty(self) -> bool:
        """Say which of them it is."""
        return self.terminal


@pytest.fixture
def aiplat(monkeypatch: pytest.MonkeyPatch, typed: Typed, tmp_path: Path) -> Typed:
    """Run `aiplat secret …` beside a site.yaml with `given` on standard input; return code, out and err."""
    monkeypatch.setenv("AIPLAT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "password").write_text("of the vault")
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    (tmp_path / "site.yaml").write_text(SITE)

    def run(*arguments: str, given: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", Input(io.BytesIO(given)))
        code, out, err = typed("secret", *arguments)
        assert VALUE not in out + err
        return code, out, err

    return run


def kept(name: str) -> str:
    """Return what the vault keeps under a name."""
    secrets = read_secrets("ward")
    assert secrets
    return secrets.given[name].value


def test_a_secret_is_read_from_standard_input(aiplat: Typed) -> None:
    """One newline at its end goes; the same again is not a change."""
    code, out, err = aiplat("set", "admin", given=f"{VALUE}\n".encode())
    assert (code, out) == (0, "")
    assert "secret admin of ward is kept; `aiplat bootstrap` brings it to where it is used" in err
    assert kept("admin") == VALUE
    assert "is what it was" in aiplat("set", "admin", given=VALUE.encode())[2]
    assert json.loads(aiplat("set", "admin", "--json", given=b"other")[1])["changed"] == 1


def test_a_secret_of_many_lines_stays_whole(aiplat: Typed) -> None:
    """Only the very last newline goes."""
    aiplat("set", "key", given=b"one\ntwo\n\n")
    assert kept("key") == "one\ntwo\n"


def test_at_a_terminal_it_is_typed_twice(aiplat: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that differ are refused, and nothing is kept."""
    typed = iter([VALUE, "wrong horse", VALUE, VALUE])
    monkeypatch.setattr("aiplat.cli.secret.getpass.getpass", lambda _: next(typed))
    monkeypatch.setattr(Input, "terminal", True)
    code, _, err = aiplat("set", "admin")
    assert (code, err) == (2, "secret admin: the two were not the same; try again\n")
    assert aiplat("set", "admin")[0] == 0
    assert kept("admin") == VALUE


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("Admin", b"x", "this is not a secret name"),
        ("admin", b"", "its value is empty"),
        ("admin", b"\xff", "is not UTF-8"),
        ("admin", b"x" * (MAX_BYTES + 1), "is longer than 256 KiB"),
    ],
)
def test_what_cannot_be_kept_is_refused(aiplat: Typed, name: str, given: bytes, says: str) -> None:
    """Exit code 2, and no vault is made for it."""
    code, _, err = aiplat("set", name, given=given)
    assert (code, says in err) == (2, True), err
    assert read_secrets("ward") is None


def test_the_value_is_no_argument(aiplat: Typed) -> None:
    """What stands on a command line is read by everybody on the machine."""
    code, _, err = aiplat("set", "admin", "site.yaml", "on-the-command-line")
    assert code == 2
    assert "unexpected extra argument" in err


def test_the_list_has_names_and_places_and_what_is_missing(aiplat: Typed) -> None:
    """For people and programs; never a value."""
    missing = aiplat("list")[1]
    assert "not given yet: aiplat secret set admin" in missing
    assert "planes.model.ollama.values.env.password" in missing
    aiplat("set", "admin", given=VALUE.encode())
    aiplat("set", "spare", given=b"x")
    rows = json.loads(aiplat("list", "--json")[1])["secrets"]
    assert [(r["name"], r["used"]) for r in rows] == [
        ("admin", ["planes.model.ollama.values.env.password"]),
        ("spare", []),
    ]
    assert all(r["since"].endswith("Z") or "+00:00" in r["since"] for r in rows)


def test_only_what_is_not_used_is_removed(aiplat: Typed) -> None:
    """What the site refers to stays; an unknown name gets a hint."""
    aiplat("set", "admin", given=VALUE.encode())
    aiplat("set", "spare", given=b"x")
    code, _, err = aiplat("rm", "admin")
    assert (code, "planes.model.ollama.values.env.password: refers to admin" in err) == (2, True)
    assert aiplat("rm", "spare")[0] == 0
    code, _, err = aiplat("rm", "spare")
    assert (code, "ward has none of that name" in err) == (2, True)
    assert kept("admin") == VALUE


def test_no_secret_changes_while_a_run_is_at_work(aiplat: Typed) -> None:
    """The run has read the vault and may write it."""
    with one_run_at_a_time("ward"):
        code, _, err = aiplat("set", "admin", given=VALUE.encode())
    assert (code, "is at work on this machine" in err) == (1, True)
