"""The rooms are described; that data flows one way through them is seen by `make lint`."""

from __future__ import annotations

from tests.house.tree import ROOT


def test_every_room_is_described() -> None:
    """Each folder of the package stands in ARCHITECTURE.md's table of rooms."""
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = {path.parent.name for path in (ROOT / "aiplat").glob("*/__init__.py")} - {"services"}
    assert [room for room in sorted(rooms) if f"`aiplat/{room}/`" not in architecture] == []
    rooms = {path.parent.name for path in (ROOT / "aiplat/services/gateway").glob("*/__init__.py")}
    assert [room for room in sorted(rooms) if f"| `{room}/` |" not in architecture] == []
