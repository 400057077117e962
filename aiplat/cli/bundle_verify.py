"""The verbs `aiplat bundle verify` and `sign`: progress and sentences; the work is aiplat.bundle's."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from aiplat.bundle.bundle import Bundle
from aiplat.bundle.check import verify as verify_bundle
from aiplat.bundle.statement import sign_bundle
from aiplat.bundle.trust import (
    NOT_VERIFIED,
    accepted_sequence,
    note_sequence,
    refuse_untrusted,
    signed_of,
)
from aiplat.cli.arguments import JsonOption
from aiplat.cli.bundle_choice import SiteOrBundle, bundle_and_site
from aiplat.cli.bytes_progress import bytes_progress
from aiplat.cli.ending import print_json
from aiplat.cli.terminal import Console
from aiplat.errors import AiplatError, BadInput, CheckFailed, Finding
from aiplat.state import expanded

_SignersOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="List of those who may sign. Default: the site's.")
]
_KeyOption = Annotated[
    Path, typer.Option(metavar="FILE", help="Private key, or the public one of a key in ssh-agent.")
]
_ExpiresOption = Annotated[str, typer.Option(metavar="TIME", help="How long it is valid: 365d, 12h.")]
_ForOption = Annotated[
    str, typer.Option("--for", metavar="NAME", help="The site it is for. Default: the one it was made for.")
]


def register_verify(app: typer.Typer) -> None:
    """Add the verbs to `aiplat bundle`."""
    app.command()(verify)
    app.command()(sign)


def verify(site: SiteOrBundle = None, signers: _SignersOption = None, as_json: JsonOption = False) -> None:
    """Hash the whole bundle and name every file that is missing, was added or was altered, down to one bit.

    With the site's `trust:`, or --signers, its signature is verified too, without a network, and what is
    wrong has a name: unsigned, altered, cut, foreign signer, swapped, another site, rolled back, expired.
    Exit code 3 if there is anything.
    """
    path, named = bundle_and_site(site)
    findings = _hashed(path)
    listed = expanded(signers) if signers else named.trust.signers if named else None
    whole = not findings
    said: dict[str, Any] = {}
    if listed:
        try:
            signed = signed_of(Bundle.open(path), listed)
            document, by = refuse_untrusted(path, signed, named.name if named else None)
            said = {"by": by, **document}
        except AiplatError as error:
            findings += error.findings
    if as_json:
        rows = [{"where": f.where, "problem": f.problem, "fix": f.fix} for f in findings]
        result = {"kind": "BundleCheck", "path": str(path), "whole": whole, "findings": rows}
        print_json({**result, "signed": said or None})
    if findings:
        raise CheckFailed(findings)
    if not as_json:
        _say(f"{path}: whole, {_size(Bundle.open(path))}")
        _say(_signed_sentence(said) if said else NOT_VERIFIED)


def sign(
    key: _KeyOption,
    site: SiteOrBundle = None,
    expires: _ExpiresOption = "365d",
    wanted: _ForOption = "",
    as_json: JsonOption = False,
) -> None:
    """Sign the bundle for its site with a key of ssh-keygen, so that hosts and operators can verify it.

    The whole bundle is hashed first: what is not whole is not signed. What is signed is the site, the sha256
    of bundle.json, which lists all else by digest, a sequence that only grows, and until when it is valid.
    """
    path, named = bundle_and_site(site)
    valid = period(expires, "--expires")
    if findings := _hashed(path):
        raise CheckFailed(findings)
    name = wanted or (named.name if named else Bundle.open(path).lock.site)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        raise BadInput(Finding("--for", f"{name!r} is not the name of a site", "say --for NAME"))
    statement = sign_bundle(path, name, expanded(key), valid, accepted_sequence(name))
    note_sequence(name, statement.sequence)
    if as_json:
        print_json({**statement.model_dump(mode="json", by_alias=True), "path": str(path)})
        return
    said = f"signed for {name}, sequence {statement.sequence}, valid until {statement.expires}"
    _say(f"{path}: {said}")


def period(text: str, option: str) -> timedelta:
    """Return a time as people write it (`365d`, `12h`).

    Raises:
        BadInput: it is not one.
    """
    matched = re.fullmatch(r"([1-9]\d{0,5})([hd])", text)
    if matched is None:
        raise BadInput(Finding(option, f"{text!r} is not a time", "write 365d or 12h"))
    count = int(matched[1])
    return timedelta(hours=count) if matched[2] == "h" else timedelta(days=count)


def _hashed(path: Path) -> list[Finding]:
    with bytes_progress(False) as told:
        return verify_bundle(path, on_progress=lambda done, total: told("verify", done, total))


def _signed_sentence(said: dict[str, Any]) -> str:
    sequence, until = said["sequence"], said["expires"]
    return f"signed by {said['by']} for {said['site']!r}, sequence {sequence}, valid until {until}"


def _size(bundle: Bundle) -> str:
    return f"{len(bundle.document.files)} files, {bundle.document.size / 1e6:.0f} MB"


def _say(sentence: str) -> None:
    Console(highlight=False, soft_wrap=True).print(sentence, markup=False)
