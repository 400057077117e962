"""Who may sign a site's bundles, and opening a bundle only if one of them did; judging is aiplat.signed's."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiplat.bundle.bundle import Bundle, bundle_path
from aiplat.bundle.statement import run_ssh_keygen, sequence_after, signature_of
from aiplat.content import parsed_json, write_atomic
from aiplat.errors import BadInput, Finding
from aiplat.signed import (
    NAMESPACE,
    SIGNATURE,
    SIGNERS_NAMESPACE,
    STATEMENT,
    Signed,
    UntrustedError,
    judge,
    list_sequence,
)
from aiplat.site.models import Site
from aiplat.state import private_dir, site_dir

NOT_VERIFIED = "not verified: the site has no `trust:`, so nobody's signature is asked for"
_MOST_BYTES = 1 << 20
_LINE = re.compile(
    r'(?P<name>\S+) namespaces="[^"]*"(?:,valid-before="(?P<until>\d{14})Z?")? (?P<key>\S+ \S+)(?: .*)?'
)


@dataclass(frozen=True)
class Signer:
    """One who may sign: the name, the public key, and until when in UTC (empty: without an end)."""

    name: str
    key: str
    until: str = ""

    @property
    def line(self) -> str:
        """The line of the list, as ssh-keygen's ALLOWED SIGNERS has it."""
        until = f',valid-before="{self.until}"' if self.until else ""
        return f'{self.name} namespaces="{NAMESPACE},{SIGNERS_NAMESPACE}"{until} {self.key}\n'


def open_trusted(site: Site) -> Bundle:
    """Return the site's bundle; with `trust:` only if its statement is signed and fits what was read.

    Raises:
        BadInput: there is none, it is damaged, or it is refused: the name of why is in the sentence.
    """
    bundle = Bundle.open(bundle_path(site))
    if site.trust.signers is None:
        return bundle
    signed = signed_of(bundle, site.trust.signers)
    refuse_untrusted(bundle.path, signed, site.name)
    return replace(bundle, signed=signed)


def refuse_untrusted(path: Path, signed: Signed, site: str | None) -> tuple[dict[str, Any], str]:
    """Return what a bundle's statement says, and who signed it; without a site it may be for any.

    Raises:
        BadInput: it is refused.
    """
    try:
        return judge(signed, site, accepted_sequence(site) if site else 0)
    except UntrustedError as error:
        raise BadInput(Finding(str(path), str(error), error.fix)) from None


def note_accepted(site: Site, bundle: Bundle) -> None:
    """Remember the sequence of a bundle that is used from now on; one that nobody had to sign has none."""
    if bundle.signed:
        note_sequence(site.name, parsed_json(bundle.signed.statement)["sequence"])


def signed_of(bundle: Bundle, signers: Path) -> Signed:
    """Return what is to be judged of an opened bundle: bundle.json is the bytes it was opened from.

    Raises:
        BadInput: the list of signers cannot be read.
    """
    try:
        listed = _read(signers)
    except OSError as error:
        problem = f"the list of signers cannot be read: {error.strerror or error}"
        raise BadInput(Finding(str(signers), problem, "make it: aiplat bundle trust init")) from None
    return Signed(
        statement=_optional(bundle.path / STATEMENT),
        signature=_optional(bundle.path / SIGNATURE),
        document=bundle.text,
        signers=listed,
        signers_signature=_optional(signature_file(signers)),
    )


def accepted_sequence(site: str) -> int:
    """Return the highest sequence that was signed or used for a site on this machine."""
    try:
        return int(_sequence_file(site).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def note_sequence(site: str, sequence: int) -> None:
    """Remember a sequence; a bundle with a lower one is rolled back from now on."""
    if sequence > accepted_sequence(site):
        write_atomic(_sequence_file(site), b"%d\n" % sequence, 0o600)


def signature_file(signers: Path) -> Path:
    """Return where the signature of a list of signers is."""
    return signers.with_name(f"{signers.name}.sig")


def listed_signers(signers: Path) -> list[Signer]:
    """Return those on a list that aiplat wrote.

    Raises:
        BadInput: it has a line of another form.
    """
    found = []
    text = _read(signers).decode(errors="replace") if signers.exists() else ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        matched = _LINE.fullmatch(line)
        if matched is None:
            problem = "is not a line that aiplat wrote, so it does not change the list"
            raise BadInput(Finding(f"{signers}:{number}", problem, "change the list by hand"))
        found.append(Signer(matched["name"], matched["key"], matched["until"] or ""))
    return found


def first_signer(site: Site, signers: Path, public: Path | None) -> tuple[Signer, Path]:
    """Begin a site's list with a key, made if none is given; return the signer and the key's file.

    Raises:
        BadInput: there is a list already, or the key cannot be read.
    """
    if signers.exists():
        problem = "the site has a list of signers already"
        raise BadInput(Finding(str(signers), problem, "add a key to it: aiplat bundle trust rotate"))
    key = public or _make_key(site, 1)
    signer = Signer(f"{site.name}-1", public_key(key))
    write_atomic(signers, _list_text([signer]))
    return signer, key


def rotate(site: Site, signers: Path, old: Path, public: Path | None, both: timedelta) -> tuple[Signer, Path]:
    """Add a key, end the old one's time after `both`, and have the old one sign the list for the hosts.

    Raises:
        BadInput: the old key is not on the list, or cannot sign.
    """
    listed = listed_signers(signers)
    ending = public_key(old)
    if ending not in [signer.key for signer in listed]:
        raise BadInput(
            Finding(str(old), f"is not a key of {signers}", "sign the list with a key that is on it")
        )
    number = len(listed) + 1
    key = public or _make_key(site, number)
    added = Signer(f"{site.name}-{number}", public_key(key))
    if added.key in [signer.key for signer in listed]:
        raise BadInput(Finding(str(key), "is on the list already", "give a key that is not"))
    until = (datetime.now(UTC) + both).strftime("%Y%m%d%H%M%S")
    kept = [replace(signer, until=until) if signer.key == ending else signer for signer in listed]
    text = _list_text([*kept, added], list_sequence(_read(signers)))
    signature = signature_of(text, old, SIGNERS_NAMESPACE)
    write_atomic(signature_file(signers), signature)
    write_atomic(signers, text)
    return added, key


def _list_text(signers: list[Signer], last: int = 0) -> bytes:
    """Return a list as it is written: newer than the `last` one, so that hosts do not go back to that."""
    header = f"# sequence {sequence_after(last)}\n"
    return (header + "".join(signer.line for signer in signers)).encode()


def public_key(key: Path) -> str:
    """Return the kind and the text of a key's public half; the file may be the private or the public one.

    Raises:
        BadInput: it is neither.
    """
    public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    if public.is_file():
        words = _read(public).decode(errors="replace").split()
    else:
        words = run_ssh_keygen(["ssh-keygen", "-y", "-f", str(key)], key).split()
    if len(words) < 2:
        raise BadInput(
            Finding(str(public), "is not a public key", "name the .pub file that ssh-keygen wrote")
        )
    return f"{words[0]} {words[1]}"


def _make_key(site: Site, number: int) -> Path:
    key = private_dir(site_dir(site.name) / "trust") / f"bundle-{number}"
    if not key.exists():
        comment = f"{site.name}-{number} aiplat bundles"
        run_ssh_keygen(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(key)], key)
    return key


def _sequence_file(site: str) -> Path:
    return site_dir(site) / "trust" / "sequence"


def _optional(path: Path) -> bytes:
    try:
        return _read(path)
    except OSError:
        return b""


def _read(path: Path) -> bytes:
    """Return the first bytes of a file, more than any of its kind has; a pipe would never end.

    Raises:
        OSError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "there is no such file", str(path))
    with path.open("rb") as stream:
        return stream.read(_MOST_BYTES + 1)
