"""A host judges a signed bundle by the list of signers that it knows, before it takes anything of it."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from aiplat.bundle.document import DOCUMENT, INDEX
from aiplat.bundle.statement import sign_bundle, signature_of
from aiplat.catalog.artifacts import Blob
from aiplat.errors import AiplatError
from aiplat.fleet.transfer import push_blobs
from aiplat.signed import SIGNATURE, SIGNERS_NAMESPACE, STATEMENT, Signed
from aiplat.site.models import Site
from tests.bundle.signing import OLD, YEAR, list_of, make_key

CONTENT = b"what a host installs" * 1000


class Made:
    """A folder with one blob and a bundle.json that lists it, signed by whoever is asked."""

    def __init__(self, folder: Path, content: bytes = CONTENT) -> None:
        self.folder = folder
        self.signed: Signed | None = None
        folder.mkdir()
        name = hashlib.sha256(content).hexdigest()
        (folder / name).write_bytes(content)
        self.blob = Blob(digest=f"sha256:{name}", size=len(content))
        listed = {f"blobs/sha256/{name}": {"sha256": f"sha256:{name}", "size": len(content)}}
        (folder / DOCUMENT).write_text(json.dumps({"files": listed}) + "\n")
        (folder / INDEX).write_text("{}")

    def blob_path(self, digest: str) -> Path:
        """Return where the blob is."""
        return self.folder / digest.removeprefix("sha256:")

    def shown(
        self, key: Path, signers: Path, site: str = "ward-3", valid: timedelta = YEAR, last: int = 0
    ) -> Signed:
        """Return what a host is shown after somebody signed it."""
        sign_bundle(self.folder, site, key, valid, last)
        parts = ((self.folder / name).read_bytes() for name in (STATEMENT, SIGNATURE, DOCUMENT))
        return Signed(*parts, signers=signers.read_bytes(), signers_signature=b"")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Return a bundle."""
    return Made(tmp_path / "bundle")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return the key of the one who may sign."""
    return make_key(tmp_path, "officer")


@pytest.fixture
def signers(key: Path, tmp_path: Path) -> Path:
    """Return the list with that key alone."""
    return list_of(tmp_path, key)


@pytest.fixture
def signed(made: Made, key: Path, signers: Path) -> Signed:
    """Return what a host is shown of the bundle as the officer signed it."""
    return made.shown(key, signers)


@pytest.fixture
def stage(site: Site, host_here: Path, made: Made) -> Callable[..., Path]:
    """Return a function that stages the bundle on the server; it returns the host's folder."""

    def stage(signed: Signed | None, *blobs: Blob, source: Made = made) -> Path:
        source.signed = signed
        push_blobs(site, {"s1": blobs}, source, "run-1", lambda *_: None)
        return host_here

    return stage


def blobs_on(host: Path) -> list[str]:
    """Return what the host holds."""
    return sorted(path.name for path in host.glob("blobs/sha256/*"))


def test_a_host_takes_the_first_list_and_remembers_it(
    stage: Callable[..., Path], made: Made, key: Path, signers: Path
) -> None:
    """List and sequence are root's alone, and the content is there."""
    signed = made.shown(key, signers)
    host = stage(signed, made.blob)
    assert blobs_on(host) == [made.blob.digest.removeprefix("sha256:")]
    assert (host / "trust/allowed_signers").read_bytes() == signers.read_bytes()
    assert int((host / "trust/sequence").read_text()) == json.loads(signed.statement)["sequence"]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in sorted((host / "trust").iterdir())]
    assert modes == [0o600, 0o600]


def test_a_host_that_has_everything_judges_all_the_same(
    stage: Callable[..., Path], made: Made, key: Path, signers: Path
) -> None:
    """Without a blob to move it would else never see who signed."""
    with pytest.raises(AiplatError, match="expired"):
        stage(made.shown(key, signers, valid=OLD))
    host = stage(made.shown(key, signers))
    assert (host / "trust/sequence").exists()


def _altered(signed: Signed) -> Signed:
    return signed._replace(statement=signed.statement.replace(b"ward-3", b"ward-4"))


def _cut(signed: Signed) -> Signed:
    return signed._replace(signature=signed.signature[:-40])


def _swapped(signed: Signed) -> Signed:
    return signed._replace(document=b'{"files": {}}\n')


def _cut_document(signed: Signed) -> Signed:
    return signed._replace(document=signed.document[:-9])


def _unsigned(signed: Signed) -> Signed:
    return signed._replace(statement=b"", signature=b"")


ATTACKS: dict[str, Callable[[Signed], Signed]] = {
    "altered: the signature does not fit": _altered,
    "cut: its signed statement or signature": _cut,
    "cut: bundle.json is not complete": _cut_document,
    "swapped: ": _swapped,
    "unsigned: ": _unsigned,
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_was_changed_on_its_way_is_refused_by_name(
    stage: Callable[..., Path], host_here: Path, made: Made, signed: Signed, name: str
) -> None:
    """The host holds and remembers nothing of it."""
    with pytest.raises(AiplatError) as refused:
        stage(ATTACKS[name](signed), made.blob)
    assert str(refused.value).startswith(f"s1: {name}")
    assert blobs_on(host_here) == []
    assert not (host_here / "trust").exists()


def test_a_bundle_signed_again_by_somebody_else_is_refused(
    stage: Callable[..., Path], made: Made, key: Path, signers: Path, tmp_path: Path
) -> None:
    """With the list that the host knows, and with a list of the somebody's own."""
    stage(made.shown(key, signers), made.blob)
    foreign = make_key(tmp_path, "somebody")
    with pytest.raises(AiplatError, match="s1: foreign signer: nobody who may sign now has the key SHA256:"):
        stage(made.shown(foreign, signers), made.blob)
    theirs = list_of(tmp_path, foreign)
    with pytest.raises(AiplatError, match="s1: foreign signer: the list of signers is another one"):
        stage(made.shown(foreign, theirs), made.blob)


def test_another_sites_rolled_back_and_expired_bundles_are_refused(
    stage: Callable[..., Path], made: Made, key: Path, signers: Path
) -> None:
    """Each by its name; what was accepted before counts."""
    older = made.shown(key, signers)
    stage(made.shown(key, signers, last=10**14), made.blob)
    with pytest.raises(AiplatError, match="s1: another site: it was signed for 'ward-9', not for 'ward-3'"):
        stage(made.shown(key, signers, site="ward-9", last=10**14), made.blob)
    with pytest.raises(AiplatError, match="s1: rolled back: its sequence"):
        stage(older, made.blob)
    with pytest.raises(AiplatError, match="s1: expired: it was valid until"):
        stage(made.shown(key, signers, valid=OLD, last=10**14), made.blob)


def test_an_unsigned_bundle_is_refused_by_a_host_that_knows_signers(
    stage: Callable[..., Path], made: Made, key: Path, signers: Path
) -> None:
    """Also from a machine whose site file asks for no signature."""
    stage(made.shown(key, signers))
    with pytest.raises(AiplatError, match="s1: unsigned: this host takes bundles of the signers in"):
        stage(None, made.blob)


def test_a_host_whose_list_is_empty_takes_nothing(
    stage: Callable[..., Path], made: Made, key: Path, signers: Path
) -> None:
    """A list that a power cut emptied is not the same as none."""
    host = stage(made.shown(key, signers))
    (host / "trust/allowed_signers").write_bytes(b"")
    with pytest.raises(AiplatError, match="allowed_signers is empty"):
        stage(None, made.blob)


def test_a_blob_that_the_signed_bundle_does_not_list_is_refused(
    stage: Callable[..., Path], made: Made, key: Path, signers: Path, tmp_path: Path
) -> None:
    """A good signature of one bundle does not bring in content of another."""
    other = Made(tmp_path / "other", b"something else")
    with pytest.raises(AiplatError, match=r"s1: altered: the signed bundle\.json does not list blob"):
        stage(made.shown(key, signers), other.blob, source=other)


def test_a_list_that_a_known_signer_signed_replaces_the_hosts(
    stage: Callable[..., Path], made: Made, key: Path, signers: Path, tmp_path: Path
) -> None:
    """So a key is changed without going to every host."""
    host = stage(made.shown(key, signers))
    newer = make_key(tmp_path, "successor")
    both = list_of(tmp_path, key, newer)
    signature = signature_of(both.read_bytes(), key, SIGNERS_NAMESPACE)
    stage(made.shown(newer, both)._replace(signers_signature=signature), made.blob)
    assert (host / "trust/allowed_signers").read_bytes() == both.read_bytes()


@pytest.mark.parametrize("lowered", ["# sequence 7\n", "# sequence 8\n", ""])
def test_an_older_list_is_not_put_back(
    stage: Callable[..., Path], made: Made, key: Path, signers: Path, lowered: str
) -> None:
    """Although somebody on the host's list signed it then: who was taken off it would be back."""
    shown = made.shown(key, signers)
    lines = signers.read_bytes()
    known = b"# sequence 8\n" + lines
    host = stage(shown._replace(signers=known))
    offered = lowered.encode() + lines + b"# another\n"
    signers.write_bytes(offered)
    signature = signature_of(offered, key, SIGNERS_NAMESPACE)
    with pytest.raises(
        AiplatError, match=r"s1: rolled back: the list of signers has sequence \d, and one with 8"
    ):
        stage(shown._replace(signers=offered, signers_signature=signature), made.blob)
    assert (host / "trust/allowed_signers").read_bytes() == known
    assert blobs_on(host) == []


def test_text_of_a_bundle_does_nothing_on_its_way_back(
    stage: Callable[..., Path], made: Made, key: Path, signers: Path
) -> None:
    """A template and an escape sequence stay text."""
    with pytest.raises(AiplatError) as refused:
        stage(made.shown(key, signers, site="{{ lookup('pipe', 'id') }}\x1b[2J"))
    assert "lookup" in str(refused.value)
    assert "\x1b" not in str(refused.value)
