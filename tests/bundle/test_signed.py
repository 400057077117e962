"""A site that trusts a list of signers uses a bundle only if one of them signed just that bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from aiplat.actions.known_lock import bundle_for, known_lock
from aiplat.bundle.build import build_bundle
from aiplat.bundle.bundle import Bundle
from aiplat.bundle.check import verify
from aiplat.bundle.document import CHECKSUM, DOCUMENT, checksum_line
from aiplat.bundle.statement import sign_bundle, signature_of
from aiplat.bundle.trust import accepted_sequence, listed_signers, note_accepted, open_trusted, rotate
from aiplat.content import sha256_bytes
from aiplat.errors import BadInput
from aiplat.signed import NAMESPACE, SIGNATURE, SIGNERS_NAMESPACE, STATEMENT, list_sequence, signer_of
from aiplat.site.models import Site
from tests.bundle.signing import OLD, YEAR, list_of, make_key, sign, trusting
from tests.supply.worlds import Workshop, lock, silent, site, supply


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return the key of the one who may sign."""
    return make_key(tmp_path, "officer")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Return the key of somebody else."""
    return make_key(tmp_path, "somebody")


@pytest.fixture
def ward(bundle: Bundle, key: Path, tmp_path: Path) -> Site:
    """Return a site that trusts the officer; its bundle is signed."""
    sign(bundle, key)
    return trusting(site(), bundle, list_of(tmp_path, key))


def refusal(ward: Site) -> str:
    """Return why the site's bundle is refused."""
    with pytest.raises(BadInput) as refused:
        open_trusted(ward)
    return str(refused.value)


def test_a_signed_bundle_is_opened(ward: Site, bundle: Bundle) -> None:
    """It is whole as well: the statement and its signature are not files that somebody added."""
    opened = open_trusted(ward)
    assert opened.document == bundle.document
    assert opened.signed is not None
    assert verify(bundle.path) == []


def test_a_site_without_trust_asks_for_no_signature(bundle: Bundle) -> None:
    """It works as before."""
    opened = open_trusted(Site.model_validate({**site().model_dump(), "supply": f"bundle:{bundle.path}"}))
    assert opened.signed is None


def test_an_unsigned_bundle_is_refused_by_name(ward: Site, bundle: Bundle) -> None:
    """Whichever of the two files is missing."""
    (bundle.path / SIGNATURE).unlink()
    assert "unsigned" in refusal(ward)


def test_one_changed_character_of_the_statement_is_refused(ward: Site, bundle: Bundle) -> None:
    """A later date, for example."""
    path = bundle.path / STATEMENT
    said = json.loads(path.read_bytes())
    path.write_text(json.dumps({**said, "expires": "2999-01-01T00:00:00Z"}) + "\n")
    assert ": altered: the signature does not fit" in refusal(ward)


@pytest.mark.parametrize("name", [STATEMENT, SIGNATURE, DOCUMENT])
def test_what_is_cut_is_refused_by_name(ward: Site, bundle: Bundle, name: str) -> None:
    """The statement, its signature, or bundle.json, which then is not JSON."""
    path = bundle.path / name
    path.write_bytes(path.read_bytes()[:-20])
    assert (": cut: " if name != DOCUMENT else "its end was cut off") in refusal(ward)


def test_a_foreign_signer_is_refused_with_the_key(ward: Site, bundle: Bundle, foreign: Path) -> None:
    """Whoever signs an altered bundle again has another key."""
    sign(bundle, foreign)
    assert ": foreign signer: nobody who may sign now has the key SHA256:" in refusal(ward)


def test_another_bundles_statement_is_refused(
    ward: Site, build: Callable[..., Bundle], tmp_path: Path
) -> None:
    """A signed statement does not speak for a bundle that was put in its place."""
    kept = tmp_path / "kept"
    kept.mkdir()
    opened = open_trusted(ward)
    for name in (STATEMENT, SIGNATURE):
        shutil.copy(opened.path / name, kept)
    build("2.0.0")
    for name in (STATEMENT, SIGNATURE):
        shutil.copy(kept / name, opened.path)
    assert ": swapped: " in refusal(ward)


def test_an_altered_bundle_json_with_its_checksum_made_again_is_refused(ward: Site, bundle: Bundle) -> None:
    """The checksum beside it is nobody's signature."""
    text = bundle.text.replace(b'"1.0.0"', b'"6.6.6"', 1)
    assert text != bundle.text
    (bundle.path / DOCUMENT).write_bytes(text)
    (bundle.path / CHECKSUM).unlink()
    assert ": swapped: " in refusal(ward)


def test_another_sites_bundle_is_refused(ward: Site, bundle: Bundle, key: Path) -> None:
    """The same signer may sign for several sites."""
    sign(bundle, key, "ward-9")
    assert "another site: it was signed for 'ward-9', not for 'ward'" in refusal(ward)


def test_a_bundle_older_than_one_that_was_used_is_rolled_back(ward: Site, bundle: Bundle, key: Path) -> None:
    """The same again is not."""
    older = {name: (bundle.path / name).read_bytes() for name in (STATEMENT, SIGNATURE)}
    first = sign(bundle, key, last=10**14)
    note_accepted(ward, open_trusted(ward))
    assert accepted_sequence("ward") == first.sequence
    open_trusted(ward)
    for name, text in older.items():
        (bundle.path / name).write_bytes(text)
    assert ": rolled back: its sequence " in refusal(ward)


def test_an_expired_bundle_is_refused(ward: Site, bundle: Bundle, key: Path) -> None:
    """A day is allowed for clocks that are off."""
    sign(bundle, key, valid=timedelta(hours=-1))
    open_trusted(ward)
    sign(bundle, key, valid=OLD)
    assert ": expired: it was valid until " in refusal(ward)


def test_a_signer_whose_time_is_over_is_foreign(ward: Site, key: Path, tmp_path: Path) -> None:
    """What was signed before counts no more either: who has the key could write any date."""
    list_of(tmp_path, key, until="20200101000000")
    assert ": foreign signer: " in refusal(ward)


def test_a_signature_for_something_else_is_refused(ward: Site, bundle: Bundle, key: Path) -> None:
    """The same key signs a list of signers in another namespace."""
    text = (bundle.path / STATEMENT).read_bytes()
    (bundle.path / SIGNATURE).write_bytes(signature_of(text, key, SIGNERS_NAMESPACE))
    assert ": altered: " in refusal(ward)


def test_a_list_that_is_gone_is_named(ward: Site, tmp_path: Path) -> None:
    """Nothing is used without it."""
    (tmp_path / "allowed_signers").unlink()
    assert "allowed_signers: the list of signers cannot be read" in refusal(ward)


def test_a_bundle_that_took_the_place_of_the_one_that_was_planned_is_refused(
    ward: Site, build: Callable[..., Bundle], key: Path
) -> None:
    """Also one that the same officer signed: the plan that somebody agreed to was made for another."""
    planned = open_trusted(ward).lock
    assert bundle_for(ward, planned).lock.artifacts == planned.artifacts
    sign(build("2.0.0"), key)
    open_trusted(ward)
    with pytest.raises(BadInput, match=r"has another hostfile tool than the plan was made for; see what it"):
        bundle_for(ward, planned)


def test_each_list_of_signers_is_newer_than_the_one_before(ward: Site, key: Path, tmp_path: Path) -> None:
    """Its number is part of what is signed; a list that has none is the oldest."""
    signers = tmp_path / "allowed_signers"
    assert list_sequence(signers.read_bytes()) == 0
    _, second = rotate(ward, signers, key, None, timedelta(days=30))
    first = list_sequence(signers.read_bytes())
    rotate(ward, signers, second, None, timedelta(days=30))
    assert 0 < first < list_sequence(signers.read_bytes())
    assert [signer.name for signer in listed_signers(signers)] == ["ward-1", "ward-2", "ward-3"]


def test_while_a_key_changes_both_may_sign(ward: Site, bundle: Bundle, key: Path, tmp_path: Path) -> None:
    """The old key gets an end and signs the list, so that those who know the old list take the new one."""
    signers = tmp_path / "allowed_signers"
    known = signers.read_bytes()
    added, made = rotate(ward, signers, key, None, timedelta(days=30))
    assert [bool(signer.until) for signer in listed_signers(signers)] == [True, False]
    open_trusted(ward)
    sign(bundle, made)
    open_trusted(ward)
    signature = signers.with_name("allowed_signers.sig").read_bytes()
    assert signer_of(signers.read_bytes(), signature, known, SIGNERS_NAMESPACE) == "ward-1"
    assert added.name == "ward-2"
    assert made.stat().st_mode & 0o077 == 0


def test_a_key_that_is_not_on_the_list_does_not_change_it(ward: Site, foreign: Path, tmp_path: Path) -> None:
    """The list stays as it is."""
    signers = tmp_path / "allowed_signers"
    before = signers.read_bytes()
    with pytest.raises(BadInput, match="is not a key of"):
        rotate(ward, signers, foreign, None, YEAR)
    assert signers.read_bytes() == before


def test_what_changes_after_it_was_judged_is_not_used(ward: Site, bundle: Bundle) -> None:
    """The files are compared with the bytes that were judged, not with what stands in bundle.json by then."""
    opened = open_trusted(ward)
    image = bundle.lock.of("image")[0]
    name = f"blobs/sha256/{str(image.digest).removeprefix('sha256:')}"
    path = bundle.path / name
    path.write_bytes(path.read_bytes() + b" ")
    listed = json.loads(bundle.text)
    listed["files"][name]["size"] += 1
    text = json.dumps(listed).encode()
    (bundle.path / DOCUMENT).write_bytes(text)
    (bundle.path / CHECKSUM).write_bytes(checksum_line(sha256_bytes(text)))
    findings = verify(opened.path, [str(image.digest)], opened=opened.document)
    assert name in [finding.where for finding in findings]


def test_a_bundle_made_again_stays_signed_only_if_it_is_the_same(
    ward: Site, bundle: Bundle, build: Callable[..., Bundle]
) -> None:
    """Making what is there already removes no signature; another bundle has none."""
    build()
    open_trusted(ward)
    build("2.0.0")
    assert not (bundle.path / STATEMENT).exists()
    assert "unsigned" in refusal(ward)


def test_what_takes_things_away_asks_for_no_signature(ward: Site, bundle: Bundle) -> None:
    """A bundle that expired keeps nobody from a reset."""
    (bundle.path / STATEMENT).unlink()
    with pytest.raises(BadInput, match="unsigned"):
        known_lock(ward)
    with pytest.raises(BadInput, match="use a bundle made for this site"):  # which it is not
        known_lock(ward, judged=False)


def test_signing_again_has_a_higher_sequence(bundle: Bundle, key: Path) -> None:
    """Also where it is signed twice in one second."""
    first = sign(bundle, key)
    assert sign(bundle, key, last=first.sequence).sequence > first.sequence


def test_text_of_a_statement_does_nothing(ward: Site, bundle: Bundle, key: Path) -> None:
    """A site's name that is a template or an escape sequence is shown as what it is."""
    sign(bundle, key, "{{ lookup('pipe', 'id') }}\x1b[2J")
    assert "\x1b" not in refusal(ward)
    assert r"\x1b[2J" in refusal(ward)


def test_a_key_that_cannot_sign_leaves_the_bundle_as_it_is(
    ward: Site, bundle: Bundle, tmp_path: Path
) -> None:
    """The old statement stays."""
    (tmp_path / "not-a-key").write_text("hello")
    with pytest.raises(BadInput, match="ssh-keygen refuses it"):
        sign_bundle(bundle.path, "ward", tmp_path / "not-a-key", YEAR, 0)
    open_trusted(ward)


def test_the_statement_names_the_digest_of_what_was_read(
    ward: Site, bundle: Bundle, workshop: Workshop
) -> None:
    """A builder keeps the bytes that it wrote."""
    again = build_bundle(site(), lock(), supply(bundle.path.parent / "cache", workshop), silent)
    assert again.text == (bundle.path / DOCUMENT).read_bytes()
    assert open_trusted(ward).text == again.text
    assert NAMESPACE in (ward.trust.signers or Path()).read_text()
