"""Every version has one owner: versions.yaml, a go.mod or a lock."""

from __future__ import annotations

import re
from fnmatch import fnmatch

from tests.house.tree import files, lines

LITERAL = re.compile(r"(?<![\d.])v?(\d+)\.(\d+)\.(\d+)(?!\.?\d)")
OWNERS = ("versions.yaml", "*go.mod", "*go.sum", "locks/*")
LOOKED_AT = (
    *("*.yaml", "*.yml", "*.py", "*.j2", "*.tpl", "*.toml", "*.cfg", "*.sh", "*Containerfile*", "Makefile"),
    *("roles/*", "playbooks/*", "lab/host/*", "lab/prepare-machine"),
)
ALLOWED = {
    "pyproject.toml": "owns the project's own version, and asks for the tools that the lock pins",
    "tests/*": "made-up worlds and recorded facts have versions of their own",
}
PLACEHOLDERS = ("0.0.0", "v1.2.3", "1.2.3")  # what Chart.yaml must have until it is packaged; examples
FORMAT = "imageLayoutVersion"  # the version of OCI's file format, which is part of that format


def test_versions_are_literals_only_where_they_are_owned() -> None:
    """A version that stands in two places is wrong in one of them some day."""
    spared = (*OWNERS, *ALLOWED)
    names = [n for n in files(*LOOKED_AT) if not any(fnmatch(n, pattern) for pattern in spared)]
    found = [
        f"{name}:{number}: {match[0]}"
        for name in names
        for number, line in lines(name)
        for match in LITERAL.finditer(line)
        if match[0] not in PLACEHOLDERS and FORMAT not in line
    ]
    assert not found, "\n".join(found)


def test_a_literal_is_recognised() -> None:
    """The pattern finds versions and leaves addresses, paths and digests alone."""
    for literal in ("name:1.2.3", "image: v1.2.3", "go1.2.3", "1:1.2.3-1+b2"):
        assert LITERAL.search(literal), literal
    assert LITERAL.search('version == "10.0.1-rc1"')
    for harmless in ("10.42.0.0/16", "127.0.0.1:80", "ipv4 10.0.0.11", "python3.11", "aiplat.dev/v1alpha1"):
        assert not LITERAL.search(harmless), harmless


def test_every_exception_is_still_needed() -> None:
    """An exception without files is removed."""
    assert all(files(pattern) for pattern in ALLOWED)
