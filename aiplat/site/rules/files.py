"""Rules about files that a site names: keys, signers, bundles; what a bundle holds is aiplat.bundle's."""

# ruff: noqa: ARG001 (every rule is asked in the same way, whether or not it needs the known names)

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path as FilePath

from aiplat.site.document import YamlDocument
from aiplat.site.findings import Path, SiteFinding, did_you_mean, shown
from aiplat.site.known import Known
from aiplat.state import expanded

SUPPLIES = ("auto", "upstream", "packages", "bundle:PATH")
BUNDLE_PREFIX = "bundle:"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def bad_supply(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """Supply is auto, upstream, packages or bundle:PATH."""
    supply = document.at("supply")
    if isinstance(supply, str) and supply not in SUPPLIES[:3] and not _bundle(supply):
        fix = did_you_mean(supply, SUPPLIES, "use")
        yield document.finding(("supply",), f"{shown(supply)} is not a supply", fix)


def missing_bundle(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A bundle that is named is there and is an OCI image layout."""
    supply = document.at("supply")
    named = _bundle(supply) if isinstance(supply, str) else None
    if not named:
        return
    path = absolute(named, document.folder)
    fix = "make it with `aiplat bundle build`, or name the folder it is in"
    if not path.is_dir():
        yield document.finding(("supply",), f"there is no bundle at {path}", fix)
    elif not (path / "oci-layout").is_file():
        yield document.finding(("supply",), f"{path} is not a bundle: it has no file oci-layout", fix)


def missing_signers(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """A list of those who may sign bundles that is named is there."""
    signers = document.at("trust", "signers")
    if isinstance(signers, str) and not absolute(signers, document.folder).is_file():
        problem = f"there is no list of signers at {absolute(signers, document.folder)}"
        yield document.finding(("trust", "signers"), problem, "make it first: aiplat bundle trust init")


def missing_key_file(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """An ssh key file that is named is there."""
    for path, key in _key_files(document):
        if not key.exists():
            fix = "make it with ssh-keygen, or leave `key` out to use ssh's own"
            yield document.finding(path, f"there is no key file {key}", fix)


def unusable_key_file(document: YamlDocument, known: Known) -> Iterator[SiteFinding]:
    """An ssh key file is a private key that only its owner can read; ssh refuses any other."""
    for path, key in _key_files(document):
        if not key.exists():
            continue
        if not key.is_file():
            yield document.finding(path, f"{key} is not a file", "name the private key file")
        elif key.suffix == ".pub":
            fix = f"name the private one, {key.with_suffix('')}"
            yield document.finding(path, f"{key} is a public key", fix)
        elif not os.access(key, os.R_OK):
            yield document.finding(path, f"{key} cannot be read", "run aiplat as the owner of the key")
        elif key.stat().st_mode & _OTHERS:
            yield document.finding(path, f"others can read {key}, so ssh refuses it", f"run chmod 600 {key}")


def absolute(path: str, folder: FilePath) -> FilePath:
    """Return a path written in a site file as an absolute one; relative ones start at the file's folder."""
    return (folder.resolve() / expanded(FilePath(path))).resolve()


def _bundle(supply: str) -> str | None:
    """Return the path behind `bundle:`; None for any other supply."""
    return supply.removeprefix(BUNDLE_PREFIX).strip() or None if supply.startswith(BUNDLE_PREFIX) else None


def _key_files(document: YamlDocument) -> Iterator[tuple[Path, FilePath]]:
    for path, host in document.maps("hosts"):
        key = host["ssh"].get("key") if isinstance(host.get("ssh"), dict) else None
        if isinstance(key, str) and key:
            yield (*path, "ssh", "key"), absolute(key, document.folder)
