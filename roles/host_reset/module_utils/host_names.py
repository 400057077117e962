"""The lines that the role k3s_server puts into the host's file of names; other lines there are not ours."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.host_commands import Kind, read

HOSTS = Path("/etc/hosts")
BEGIN, END = (f"# {word} aiplat: the site's sign-in" for word in ("BEGIN", "END"))


def without_block(text: str) -> str:
    """Return a file of names without our lines; one whose end is missing loses no line but the marker."""
    lines = text.splitlines(keepends=True)
    marks = [line.strip() for line in lines]
    while BEGIN in marks:
        first = marks.index(BEGIN)
        last = marks.index(END, first) if END in marks[first:] else first
        del lines[first : last + 1], marks[first : last + 1]
    return "".join(lines)


def find() -> list[str]:
    """Return the file if our lines are in it."""
    return [str(HOSTS)] if BEGIN in read(HOSTS).splitlines() else []


def remove(paths: list[str]) -> None:
    """Take our lines out; the file keeps its owner, mode and place."""
    for path in map(Path, paths):
        text = path.read_text(errors="surrogateescape")
        path.write_text(without_block(text), errors="surrogateescape")


NAMES = Kind("lines in /etc/hosts", find, remove)
