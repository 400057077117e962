"""Every version has one owner: versions.yaml, a go.mod or a lock."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch

from packaging.utils import canonicalize_name

from tests.house.tree import files, lines, text

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


def pins(lock: str) -> set[str]:
    """Return `name==version` of everything that a lock pins."""
    return set(re.findall(r"^[a-z0-9][a-z0-9._-]*==\S+", text(lock), re.MULTILINE))


def test_a_bundle_carries_what_aiplat_was_tested_with() -> None:
    """The lock of the runtime has every dependency in the version of the environment; `make lock` does it."""
    wanted = tomllib.loads(text("pyproject.toml"))["project"]["dependencies"]
    names = {canonicalize_name(re.split(r"[<>=!~\[ ]", line)[0]) for line in wanted}
    runtime = pins("locks/runtime.txt")
    assert names - {pin.partition("==")[0] for pin in runtime} == set()
    # pip, which installs the others, comes with an environment and stands in no lock of it.
    assert {pin for pin in runtime - pins("locks/requirements.txt") if not pin.startswith("pip==")} == set()
