"""What documents and messages tell people to write and to run is really there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from aiplat.cli.main import command_line
from aiplat.site.load import load_site
from tests.house.tree import files, lines, text

FENCED_SITE = re.compile(r"```yaml\n(apiVersion: [^`]*kind: Site[^`]*)```")
SITES = [site for name in files("*.md") for site in FENCED_SITE.findall(text(name))]
COMMAND = re.compile(r"`(?:\.venv/bin/)?aiplat ([a-z]+(?:-[a-z]+)*)(?: ([a-z]+))?\b")

TYPED = re.compile(r"^ {4}(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?aiplat (\S.*)$")


@pytest.mark.parametrize("site", SITES)
def test_a_site_in_a_document_is_good(site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever copies a site from the documents gets one that passes the check."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").touch(mode=0o600)
    path = tmp_path / "site.yaml"
    path.write_text(site)
    assert load_site(path).name


def test_the_readme_has_a_site() -> None:
    """The pattern above still finds what it looks for."""
    assert SITES


def test_every_command_that_is_named_exists() -> None:
    """No document, help text or message names a command that this version does not have."""
    root = typer.main.get_command(command_line())
    verbs = {name: set(getattr(verb, "commands", {})) for name, verb in getattr(root, "commands", {}).items()}
    unknown = [
        f"{name}:{number}: aiplat {verb} {part or ''}"
        for name in files("*.md", "aiplat/*.py", "charts/*.j2", "charts/*.yaml", "roles/*.yml", "roles/*.py")
        for number, line in lines(name)
        for verb, part in COMMAND.findall(line)
        if verb not in verbs or (verbs[verb] and part and part not in verbs[verb] and part != "site")
    ]
    assert not unknown, "\n".join(unknown)


def words_of(line: str) -> list[str]:
    """Return the words of a command as a shell has them, to its end, a pipe or a redirection."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    found: list[str] = []
    for word in words:
        if set(word) & set("();<>|&"):
            break
        found.append(word)
    return found


def fault_of(command: Any, words: list[str]) -> str:
    """Return what the command line says to these words before it does anything; empty where it takes them."""
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    if words and not words[0].startswith("-") and hasattr(command, "commands"):
        return f"there is no verb {words[0]}"
    try:
        command.make_context("aiplat", words)
    except typer.Exit:
        return ""
    except Exception as error:
        # Usage errors of all kinds have one base, which Typer does not export.
        return str(error) or type(error).__name__
    return ""


def test_every_command_line_in_a_document_is_one_that_is_taken() -> None:
    """Verbs, options and their values, as somebody copies them."""
    root = typer.main.get_command(command_line())
    wrong = [
        f"{name}:{number}: {found[1]}: {fault}"
        for name in files("*.md")
        for number, line in lines(name)
        if (found := TYPED.match(line)) and (fault := fault_of(root, words_of(found[1])))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_documents_have_command_lines() -> None:
    """The pattern above still finds what it looks for."""
    assert sum(bool(TYPED.match(line)) for name in files("*.md") for _, line in lines(name)) > 150
