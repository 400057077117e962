"""What documents and messages tell people to write and to run is really there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from aiplat.cli.main import command_line
from aiplat.site.load import load_site
from tests.house.tree import files, lines, text

FENCED_SITE = re.compile(r"```yaml\n(apiVersion: [^`]*kind: Site[^`]*)```")
SITES = [site for name in files("*.md") for site in FENCED_SITE.findall(text(name))]
COMMAND = re.compile(r"`(?:\.venv/bin/)?aiplat ([a-z]+(?:-[a-z]+)*)(?: ([a-z]+))?\b")


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
