"""What `--help` says: of every verb, of everything that it takes, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from aiplat.cli.main import command_line
from tests.typed import Typed


def verbs(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every verb with its words."""
    command = command or typer.main.get_command(command_line())
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from verbs(inner, (*path, name))


VERBS = dict(verbs())


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_a_verb_says_what_it_does_in_one_sentence_and_what_it_takes(path: tuple[str, ...]) -> None:
    """The sentence stands alone in the list of verbs, so it leads to nothing that is not there."""
    first = (VERBS[path].help or "").strip().split("\n\n")[0]
    assert first.endswith("."), first
    assert [option.name for option in VERBS[path].params if not getattr(option, "help", "")] == []


def test_help_is_as_wide_as_the_terminal_and_examples_keep_their_lines(
    monkeypatch: pytest.MonkeyPatch, typed: Typed
) -> None:
    """Lines of this program's source are not the terminal's."""
    shown = {}
    for words in ("users --help", "serve gateway --help"):
        monkeypatch.setenv("COLUMNS", "80")
        _, out, _ = typed(*words.split())
        shown[words] = [line.rstrip() for line in out.splitlines()]
    assert (
        " and sets one. What a person may do is decided by the groups: admin, operator,"
        in shown["users --help"]
    )
    assert "     keys: [{id: me, secret_file: me.key}]" in shown["serve gateway --help"]
