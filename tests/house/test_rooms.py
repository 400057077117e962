"""Rooms are described, JSON and times have one reader each; one way through them is seen by `make lint`."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator
from graphlib import TopologicalSorter

from tests.house.tree import ROOT, files, text

# What runs on hosts has the standard library alone; the services have limits of their own for what they read,
# and images with few rooms.
_READ_JSON_THEMSELVES = (
    "aiplat/content.py",
    "aiplat/bundle/installer.py",  # runs where aiplat is not installed
    "aiplat/signed.py",  # hosts are sent it as it stands
    "aiplat/fleet/remote/",
    "aiplat/services/",
    "aiplat/cluster/raw.py",
)


_READ_TIMES_THEMSELVES = (
    "aiplat/moments.py",
    "aiplat/signed.py",  # hosts are sent it as it stands
)
_TIME_READERS = ("datetime.fromisoformat(", ".fromtimestamp(", "datetime.strptime(", "time.strptime(")


def test_every_room_is_described() -> None:
    """Each folder of the package stands in ARCHITECTURE.md's table of rooms."""
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = {path.parent.name for path in (ROOT / "aiplat").glob("*/__init__.py")} - {"services"}
    assert [room for room in sorted(rooms) if f"`aiplat/{room}/`" not in architecture] == []
    rooms = {path.parent.name for path in (ROOT / "aiplat/services/gateway").glob("*/__init__.py")}
    assert [room for room in sorted(rooms) if f"| `{room}/` |" not in architecture] == []


def test_no_imports_go_in_a_circle() -> None:
    """Of two modules that import each other, neither can be read, or loaded, alone."""
    modules = {module_of(name): name for name in files("aiplat/*.py")}
    imports = {module: set(imports_of(name, modules)) for module, name in modules.items()}
    TopologicalSorter(imports).prepare()


def module_of(name: str) -> str:
    """Return the dotted name of a file's module."""
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports_of(name: str, known: Container[str]) -> Iterator[str]:
    """Yield the known modules that a file imports anywhere, also for types alone."""
    for node in ast.walk(ast.parse(text(name))):
        if isinstance(node, ast.ImportFrom):
            found = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (one if one in known else str(node.module) for one in found)


def test_json_of_others_has_one_reader() -> None:
    """What is nested too deeply is an error of its own to Python's reader, which each call would forget."""
    readers = [name for name in files("aiplat/*.py") if "json.loads(" in text(name)]
    assert [name for name in readers if not name.startswith(_READ_JSON_THEMSELVES)] == []


def test_times_of_others_have_one_reader() -> None:
    """Python's own raise three kinds of errors at the calendar's ends, and guess at zones."""
    readers = [name for name in files("aiplat/*.py") if any(one in text(name) for one in _TIME_READERS)]
    assert [name for name in readers if not name.startswith(_READ_TIMES_THEMSELVES)] == []
