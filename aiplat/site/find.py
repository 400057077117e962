"""Finds the site file that a command line argument means; reading it is in aiplat.site.load."""

from __future__ import annotations

from pathlib import Path

from aiplat.errors import BadInput, Finding
from aiplat.shipped import shipped
from aiplat.site.findings import did_you_mean
from aiplat.state import expanded

DEFAULT = "lab"
"""The built-in site that is meant where no site is named and none lies in the current folder."""

FILE_NAME = "site.yaml"


def find_site(argument: str | None = None) -> Path:
    """Return the site file that `argument` means.

    None means ./site.yaml, or the built-in lab where there is none; a built-in name (`lab`) means that
    site; anything else is the path of a file, or of a folder that holds a site.yaml.

    Raises:
        BadInput: there is no such file.
    """
    if argument is None:
        here = Path(FILE_NAME)
        return here if here.is_file() else built_in_sites()[DEFAULT]
    built_in = built_in_sites()
    if argument in built_in:
        return built_in[argument]
    path = expanded(Path(argument))
    file = path / FILE_NAME if path.is_dir() else path
    if not file.exists():
        fix = did_you_mean(argument, built_in, "name a file, or a built-in site")
        raise BadInput(Finding(str(file), "there is no such site file", fix))
    return file


def built_in_sites() -> dict[str, Path]:
    """Return the sites that aiplat brings along, by name."""
    return {path.parent.name: path for path in sorted(shipped("inventory").glob(f"*/{FILE_NAME}"))}
