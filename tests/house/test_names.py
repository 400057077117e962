"""Names say what is inside."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath

import pytest

from tests.house.tree import files, text, tracked

NAMES_NOTHING = re.compile(r"^(utils?|helpers?|commons?|misc|stuff|things)$", re.IGNORECASE)
PYTHON = [name for name in files("*.py") if text(name).strip()]

# Libraries with a wide reach, each behind one module (or one room) of ours.
ONE_IMPORTER = {"ansible_runner": "aiplat/fleet/ansible.py", "kubernetes": "aiplat/cluster/*.py"}


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    """A file called utils grows without end."""
    parts = {(name, part.split(".")[0]) for name in tracked() for part in PurePath(name).parts}
    assert sorted(name for name, part in parts if NAMES_NOTHING.match(part)) == []


@pytest.mark.parametrize("name", PYTHON)
def test_every_module_begins_with_its_purpose(name: str) -> None:
    """The first line of a module's docstring is a whole sentence about why it is there."""
    first = (ast.get_docstring(ast.parse(text(name))) or "").partition("\n")[0]
    assert len(first) >= 15, f"{name}:1 has no docstring"
    assert first.endswith("."), f"{name}:1 the docstring's first line is not a sentence"


@pytest.mark.parametrize("library", ONE_IMPORTER)
def test_a_wide_library_is_imported_in_one_place(library: str) -> None:
    """What a library can do is reached through one module of ours."""
    allowed = set(files(ONE_IMPORTER[library]))
    pattern = re.compile(rf"^\s*(import|from) {library}\b", re.MULTILINE)
    importers = {name for name in files("aiplat/*.py") if pattern.search(text(name))}
    assert importers <= allowed


def test_no_two_public_classes_have_one_name() -> None:
    """A class that is named like another is taken for it, and neither can be searched for."""
    named: dict[str, list[str]] = {}
    for name in files("aiplat/*.py"):
        for node in ast.parse(text(name)).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                named.setdefault(node.name, []).append(name)
    assert {name: where for name, where in named.items() if len(where) > 1} == {}
